"""Forecasts: censoring is honoured, nothing later is looked at, files run no code, and the loop's callback agrees."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import Forecast
from analysis.forecast.boosted_trees import BoostedTrees
from analysis.forecast.forecaster import TREES, Forecaster, KnownRun, last_landmark
from analysis.forecast.hazard_rule import HazardRule
from analysis.forecast.landmarks import COLUMNS, edges, landmarks, rows
from analysis.forecast.learned import FAMILIES, THRESHOLD
from grokcore.engine.evaluation_schedule import evaluation_steps, measure_steps
from grokcore.errors import ConfigError, DataError
from grokcore.records.milestones import Milestone

BUDGET = 2000


def run(t_gen, last=BUDGET, steps=None):
    """Return a run that memorises at 30 and generalises at `t_gen`, to which its loss falls; None is in vain."""
    grid = np.array([s for s in (steps or evaluation_steps(BUDGET)) if s <= last])
    val = np.where(grid >= (t_gen or math.inf), 0.95, 0.1)
    loss = 4.0 - 2.0 * np.minimum(grid / (t_gen or math.inf), 1)
    curves = {"step": grid, "train_accuracy": np.where(grid >= 30, 1.0, 0.2), "val_accuracy": val, "val_loss": loss}
    known = Milestone(event=bool(t_gen), step=int(t_gen or last))
    return KnownRun(curves=curves, settings={"rate": 0.01, "decay": 1.0}, budget=BUDGET, t_gen=known)


def many(seed=0):
    rng = np.random.default_rng(seed)
    return [run(int(rng.integers(100, 1900)) if i % 2 else None) for i in range(60)]


@pytest.fixture(scope="module")
def learned():
    return Forecaster.of_runs(many())


def test_landmarks_are_steps_at_which_measures_are_taken():
    for budget in (50, 1000, 5000, 100_000):
        assert set(landmarks(budget)) <= measure_steps(budget)
    assert landmarks(40) == []


def test_a_run_gives_the_intervals_that_it_was_watched_through_and_one_event():
    values, events = rows(run(700).curves, {}, Milestone(event=True, step=700), BUDGET, 0.9)
    before = [step for step in landmarks(BUDGET) if step < 700]
    assert events.sum() == len(before)
    assert len(values) == sum(np.searchsorted(edges(step, BUDGET), 700) for step in before)
    stopped, events = rows(run(None, last=251).curves, {}, Milestone(event=False, step=251), BUDGET, 0.9)
    assert not events.any()
    ends = 10 ** (stopped[:, COLUMNS.index("log_step")] + stopped[:, -2] + stopped[:, -1])
    assert ends.max() <= 252


def test_chances_rise_with_time_and_tell_the_runs_apart(learned):
    for known in (run(1500), run(None)):
        steps, chances = learned.chances(known, 158)
        assert steps[-1] == BUDGET
        assert (np.diff(chances) >= 0).all()
        assert 0 <= chances[0] <= chances[-1] <= 1
    assert learned.chances(run(1500), 631)[1][-1] > 0.7
    assert learned.chances(run(None), 631)[1][-1] < 0.1


def test_nothing_after_the_landmark_is_looked_at(learned):
    whole, cut = run(700), run(700, last=251)
    assert learned.chances(whole, 251)[1].tolist() == learned.chances(cut, 251)[1].tolist()


def test_the_order_of_many_and_the_company_do_not_matter(learned):
    runs = [run(900), run(None), run(1200)]
    together = learned.chances_of(runs, 251)
    for known, (_, chances) in zip(runs, together, strict=True):
        assert chances.tolist() == learned.chances(known, 251)[1].tolist()


def test_a_saved_forecaster_says_the_same(learned, tmp_path):
    learned.save(tmp_path / "kept.parquet")
    again = Forecaster.load(tmp_path / "kept.parquet")
    assert again.chances(run(900), 100)[1].tolist() == learned.chances(run(900), 100)[1].tolist()
    assert len(learned.joined(again).table) == 2 * len(learned.table)
    rows_alone = learned.table.assign(threshold=learned.threshold)
    rows_alone.to_parquet(tmp_path / "rows.parquet", index=False)
    taught = Forecaster.load(tmp_path / "rows.parquet")
    assert taught.chances(run(900), 100)[1].tolist() == learned.chances(run(900), 100)[1].tolist()


def test_a_saved_forecaster_is_asked_without_learning_anew(learned, tmp_path, monkeypatch):
    said = learned.chances(run(900), 100)[1].tolist()
    learned.save(tmp_path / "kept.parquet")
    monkeypatch.setattr(BoostedTrees, "grown", None)
    assert Forecaster.load(tmp_path / "kept.parquet").chances(run(900), 100)[1].tolist() == said


def test_trees_that_were_damaged_are_refused(learned, tmp_path):
    table = pa.Table.from_pandas(learned.table.assign(threshold=0.9), preserve_index=False)
    pq.write_table(table.replace_schema_metadata({TREES: b"no archive"}), tmp_path / "torn.parquet")
    with pytest.raises(DataError, match="are damaged"):
        Forecaster.load(tmp_path / "torn.parquet")


def test_files_and_runs_that_teach_nothing_are_refused(tmp_path, learned):
    pd.DataFrame({"threshold": [0.9], "event": [True]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(DataError, match="not the rows of a forecaster"):
        Forecaster.load(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    for name, why in (
        ("text.parquet", "no Parquet file"),
        ("none.parquet", "No such file or directory"),
        (".", "Is a directory"),
    ):
        with pytest.raises(DataError, match=rf"cannot be read as a forecaster: .*{why}; name"):
            Forecaster.load(tmp_path / name)
    with pytest.raises(DataError, match="0 rows of runs that generalised are too few"):
        Forecaster.of_runs([run(None)])
    with pytest.raises(DataError, match="cannot be joined"):
        learned.joined(Forecaster(learned.table, threshold=0.5))


def test_a_task_of_another_family_than_those_it_learned_from_is_no_fit(learned):
    assert not learned.misfit("operations")  # it does not know what it learned from
    assert "operations and knows nothing of Boolean functions" in Forecaster.load().misfit("Boolean functions")
    taught = Forecaster.of_runs(dataclasses.replace(known, family="Boolean functions") for known in many())
    assert not Forecaster.load().joined(taught).misfit("Boolean functions")


def test_the_rule_spares_those_that_generalise_and_never_speaks_before_they_could_have(learned):
    rule = HazardRule(learned, chance=0.1, looks=2)
    runs = many(seed=1)
    said = [rule.first(known) for known in runs]
    late = [verdict for known, verdict in zip(runs, said, strict=True) if not known.t_gen.event]
    assert sum(verdict is not None for verdict in late) > len(late) / 2
    assert sum(v is not None for k, v in zip(runs, said, strict=True) if k.t_gen.event) <= 2
    for known, verdict in zip(runs, said, strict=True):
        if verdict is not None:
            steps, chances = learned.chances(known, landmarks(BUDGET)[0])
            assert verdict.step >= steps[np.argmax(chances >= chances[-1] / 10)] or chances[-1] < 0.1


def test_the_callback_of_a_loop_says_what_the_forecaster_does(learned):
    watch, known = Forecast(BUDGET, forecaster=learned, rate=0.01, decay=1.0), run(None, last=631)
    assert watch.chance is None
    for step, train, val, loss in zip(*known.curves.values(), strict=True):
        watch.see(int(step), float(train), float(val), val_loss=float(loss))
    assert watch.chance == learned.chances(known, last_landmark(known))[1][-1]
    assert watch.verdict is None or watch.verdict.step == last_landmark(known)
    with pytest.raises(ConfigError, match=r"accuracy of 0\.9"):
        Forecast(BUDGET, threshold=0.5, forecaster=learned)
    with pytest.raises(ConfigError, match="lr: a forecast knows of rate, decay, expected alone"):
        Forecast(BUDGET, forecaster=learned, lr=0.01)
    with pytest.raises(ConfigError, match="loss is none of"):
        watch.see(700, 1.0, 0.1, loss=2.0)


def slow(memorises):
    """Return a run that generalises never and memorises at step 1,000, to which its training loss falls, or never."""
    known, grid = run(None), np.array([s for s in evaluation_steps(BUDGET) if s <= BUDGET])
    past = grid / 1000 if memorises else np.zeros(len(grid))
    curves = {"train_accuracy": np.where(past >= 1, 1.0, 0.2), "train_loss": 4 - 3 * np.minimum(past, 1)}
    t_mem = Milestone(event=memorises, step=1000 if memorises else BUDGET)
    return dataclasses.replace(known, curves=known.curves | curves, t_mem=t_mem)


def test_a_run_that_may_still_memorise_is_not_stopped_before_it_has(learned):
    both = Forecaster.of_runs([*many(), *(slow(memorises=i % 2 == 0) for i in range(60))])
    assert both.knows_memorising
    assert not learned.knows_memorising
    assert HazardRule(both).first(slow(memorises=True)).step >= 1000
    assert HazardRule(both).first(slow(memorises=False)).step < 1000
    # Who learned nothing of memorising waits for it.
    assert HazardRule(learned).first(slow(memorises=False)) is None


def test_what_the_shipped_forecaster_learned_from_is_known_without_reading_it():
    shipped = Forecaster.load()
    assert (shipped.families, shipped.threshold) == (FAMILIES, THRESHOLD)


def test_nothing_is_said_of_a_run_before_its_first_evaluation(learned):
    rule = HazardRule(learned, chance=0.9)
    whole = run(None)
    late = {name: values[whole.curves["step"] > 300] for name, values in whole.curves.items()}
    first = [rule.first(dataclasses.replace(whole, curves=curves)).step for curves in (whole.curves, late)]
    assert first[0] < 300
    assert first[1] >= 631
