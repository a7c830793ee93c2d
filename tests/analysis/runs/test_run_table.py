"""Run tables: anyone's, checked; what censoring leaves open; nothing guessed."""

import numpy as np
import pandas as pd
import pytest

from analysis.runs.run_table import allowed_regimes, check_budget, check_runs, read_runs
from grokcore.errors import DataError
from grokcore.records.regimes import RegimeRule

AXES = {"fraction": "linear"}
RULE = RegimeRule(budget=1000, ratio=5.0)


def table(**columns):
    n = 10
    base = {
        "fraction": np.linspace(0.1, 0.9, n),
        "t_mem": np.full(n, 100),
        "t_mem_event": np.full(n, True),
        "t_gen": np.full(n, 1000),
        "t_gen_event": np.full(n, False),
    }
    return pd.DataFrame(base | columns)


def one(mem, mem_event, gen, gen_event, outcome=""):
    frame = table(outcome=[""] * 10)
    frame.loc[0, ["t_mem", "t_gen"]] = mem, gen
    frame.loc[0, "t_mem_event"], frame.loc[0, "t_gen_event"] = mem_event, gen_event
    frame.loc[0, "outcome"] = outcome
    return allowed_regimes(check_runs(frame, AXES, 0.9), RULE)[0].tolist()


def test_a_run_followed_to_the_budget_has_one_regime():
    assert one(1000, False, 1000, False) == [True, False, False, False]
    assert one(100, True, 1000, False) == [False, True, False, False]
    assert one(100, True, 500, True) == [False, False, True, False]
    assert one(100, True, 499, True) == [False, False, False, True]


def test_a_run_censored_early_keeps_open_what_it_may_become():
    assert one(50, False, 50, False) == [True, True, True, True]
    assert one(100, True, 300, False) == [False, True, True, True]
    assert one(100, True, 700, False) == [False, True, True, False]


def test_a_diverged_run_never_gets_there_and_a_failed_one_says_nothing():
    assert one(30, False, 30, False, "diverged") == [True, False, False, False]
    assert one(10, True, 30, False, "diverged") == [False, True, False, False]
    assert one(0, False, 0, False, "failed") == [True, True, True, True]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"t_gen": [np.nan] * 10, "t_gen_event": [True] * 10}, "t_gen_event is true but t_gen is not a step"),
        ({"t_gen": [np.nan] * 10}, "its last step is missing"),
        ({"t_gen": [-5] * 10}, "t_gen is negative"),
        ({"t_mem_event": [False] * 10}, "t_mem was not reached by a step before"),
        ({"t_gen": [50] * 10}, "t_gen was not reached by a step before"),
        ({"steps": [500] * 10}, "beyond the run's own last step"),
        ({"steps": [5000] * 10, "last_step": [500] * 10}, r"own last step \(column last_step\)"),
        ({"t_gen_event": ["perhaps"] * 10}, "neither true nor false"),
        ({"fraction": [0.5] * 10}, "too few values"),
    ],
)
def test_contradictions_are_refused_and_named(columns, words):
    with pytest.raises(DataError, match=words):
        check_runs(table(**columns), AXES, 0.9)


def test_missing_columns_are_named_with_those_there_are():
    with pytest.raises(DataError, match=r"no column t_gen_event; .*It has: fraction"):
        check_runs(table().drop(columns="t_gen_event"), AXES, 0.9)


def test_seven_runs_are_too_few():
    with pytest.raises(DataError, match="at least 8"):
        check_runs(table().head(7), AXES, 0.9)
    assert len(check_runs(table().head(8), AXES, 0.9).table) == 8


def test_duplicate_runs_count_once_with_a_warning_and_contradicting_ones_are_refused():
    frame = table(run_id=[f"r{i}" for i in range(10)])
    runs = check_runs(pd.concat([frame, frame.head(2)], ignore_index=True), AXES, 0.9)
    assert len(runs.table) == 10
    assert runs.warnings == ("2 duplicate runs (equal run_id) were counted once.",)
    other = frame.head(1).assign(t_gen=999)
    with pytest.raises(DataError, match="run r0 appears more than once with different milestones"):
        check_runs(pd.concat([frame, other], ignore_index=True), AXES, 0.9)


def test_a_threshold_that_the_table_cannot_confirm_is_said(known):
    frame = known.runs(16, 0)
    assert check_runs(frame, known.scales(), 0.9).warnings == ()
    (said,) = check_runs(frame, known.scales(), 0.95).warnings
    assert "read as 0.95" in said


def test_events_may_be_words_or_numbers():
    frame = table(t_mem_event=["True"] * 10, t_gen_event=[0] * 10)
    runs = check_runs(frame, AXES, 0.9)
    assert runs.table["t_mem_event"].tolist() == [True] * 10
    assert runs.table["t_gen_event"].tolist() == [False] * 10


def test_a_budget_beyond_the_one_run_is_refused():
    runs = check_runs(table(), AXES, 0.9)
    assert check_budget(runs, RULE) == []
    with pytest.raises(DataError, match="budget 1,001 is beyond"):
        check_budget(runs, RegimeRule(budget=1001, ratio=5.0))


def test_early_censoring_is_said_on_the_map():
    steps = [1000] * 9 + [400]
    assert check_budget(check_runs(table(t_gen=steps), AXES, 0.9), RULE) == [
        "1 of 10 runs are censored before the budget: their regime is not certain."
    ]


def recorded(frame):
    for split, name in (("train", "t_mem"), ("val", "t_gen")):
        for threshold in ("050", "090", "095", "099"):
            frame[f"t_{split}_{threshold}"] = frame[name] + int(threshold) * (name == "t_mem")
            frame[f"t_{split}_{threshold}_event"] = frame[f"{name}_event"]
    return frame


def test_recorded_milestones_give_the_rules_threshold():
    runs = check_runs(recorded(table()), AXES, 0.95)
    assert runs.thresholds == (0.5, 0.9, 0.95, 0.99)
    assert runs.table["t_mem"].tolist() == [195] * 10
    with pytest.raises(DataError, match=r"0\.8 was not recorded; ask for one of 0\.5, 0\.9, 0\.95, 0\.99"):
        check_runs(recorded(table()), AXES, 0.8)


def test_tables_are_read_from_parquet_csv_and_folders(tmp_path):
    frame = table()
    frame.to_parquet(tmp_path / "runs.parquet")
    frame.to_csv(tmp_path / "mine.csv", index=False)
    for path in (tmp_path, tmp_path / "runs.parquet", tmp_path / "mine.csv"):
        pd.testing.assert_frame_equal(read_runs(path), frame)


def test_a_path_without_runs_says_what_to_give(tmp_path):
    with pytest.raises(DataError, match=r"holds no runs\.parquet"):
        read_runs(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        read_runs(tmp_path / "none.csv")
    (tmp_path / "x.txt").write_text("a")
    with pytest.raises(DataError, match=r"\.txt is not a run table"):
        read_runs(tmp_path / "x.txt")
    (tmp_path / "x.parquet").write_text("a")
    with pytest.raises(DataError, match="cannot be read"):
        read_runs(tmp_path / "x.parquet")


def test_a_sweep_under_way_is_read_from_its_records(tmp_path):
    from grokcore.records.run_record import Outcome, RunRecord
    from grokcore.run_config import RunConfig

    lines = []
    for seed in range(3):
        config = RunConfig.from_dict(
            {
                "task": {"name": "modular_addition", "modulus": 7},
                "model": {"name": "mlp"},
                "optimizer": {"name": "adamw"},
                "fraction": 0.5,
                "steps": 100,
                "seed": seed,
            }
        )
        curves = {name: np.array([0.0, 0.95]) for name in ("train_accuracy", "val_accuracy")}
        columns = {"step": np.array([1, 40 + seed])} | curves
        lines.append(RunRecord(config=config, outcome=Outcome.FINISHED, columns=columns).to_json())
    (tmp_path / "records.jsonl").write_text("\n".join(lines) + '\n{"torn')
    found = read_runs(tmp_path)
    assert found["t_gen"].tolist() == [40, 41, 42]
    assert found["t_gen_event"].all()
    assert found["seed"].tolist() == [0, 1, 2]
    (tmp_path / "records.jsonl").write_text("")
    with pytest.raises(DataError, match="no finished run yet"):
        read_runs(tmp_path)
