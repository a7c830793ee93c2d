"""What a table leaves unsaid about censoring is concluded where it follows, asked for where it does not."""

import numpy as np
import pandas as pd
import pytest

from analysis import RegimeMap, RegimeRule
from analysis.runs.censoring import completed
from analysis.runs.sources import read_source
from grokcore.errors import ConfigError, DataError

N = 16
REACHED = 10


def table(**columns):
    base = {
        "fraction": np.linspace(0.9, 0.2, N),
        "t_mem": np.arange(N) + 50,
        "t_mem_event": [True] * N,
        "t_gen": [500.0 + i for i in range(REACHED)] + [np.nan] * (N - REACHED),
        "t_gen_event": [True] * REACHED + [False] * (N - REACHED),
    }
    return pd.DataFrame(base | columns)


def test_without_a_last_step_a_budget_is_asked_for_and_then_heeded(tmp_path):
    table().to_csv(tmp_path / "runs.csv", index=False)
    source = read_source(tmp_path / "runs.csv")
    with pytest.raises(DataError, match=r"t_gen is empty in 6 runs .* give --budget STEPS"):
        _ = source.default_rule
    rule = source.rule_with(budget=3000)
    assert (rule.budget, rule.threshold) == (3000, 0.9)
    done = source.completed(rule.budget)
    assert done.frame["t_gen"].tolist()[REACHED:] == [3000] * 6
    assert done.notes == ("t_gen is empty in 6 runs: taken as not reached within the budget, 3,000 steps.",)


@pytest.mark.parametrize("word", ["None", "none", "NaN", "null", "", "NA", "inf"])
def test_words_for_nothing_are_empty_cells(tmp_path, word):
    frame = table().astype({"t_gen": object})
    frame.loc[REACHED:, "t_gen"] = word
    frame.to_csv(tmp_path / "runs.csv", index=False)
    for source in (frame, tmp_path / "runs.csv"):
        assert read_source(source).completed(3000).frame["t_gen"].tolist()[REACHED:] == [3000] * 6


def test_a_column_of_last_steps_says_until_when():
    for name in ("steps", "last_step", "_step", "global_step"):
        source = read_source(table(**{name: [4000] * N}))
        assert source.default_rule.budget == 4000
        assert source.completed(3000).frame["t_gen"].tolist()[REACHED:] == [4000] * 6


def test_a_map_of_a_table_with_holes_keeps_them_censored_where_they_were():
    rule = RegimeRule(budget=3000, ratio=5.0)
    fitted = RegimeMap.fit(table(), {"fraction": "linear"}, rule=rule)
    assert fitted.notes == ("t_gen is empty in 6 runs: taken as not reached within the budget, 3,000 steps.",)
    with pytest.raises(DataError, match="budget 5,000 is beyond the one these runs had"):
        fitted.under(RegimeRule(budget=5000, ratio=5.0))


def test_a_run_seen_beyond_the_budget_is_censored_where_it_was_seen():
    frame, _ = completed(table(t_mem=[4000] * N, t_gen=[5000.0] * REACHED + [np.nan] * 6), 3000)
    assert frame["t_gen"].tolist()[REACHED:] == [4000] * 6


@pytest.mark.parametrize("words", [("True", "False"), ("yes", "no"), ("1", "0"), ("Y", "n"), (1.0, 0.0), ("T", "F")])
@pytest.mark.parametrize("form", ["csv", "parquet", "frame"])
def test_words_for_true_and_false_mean_that_in_every_form(tmp_path, words, form):
    events = [words[0]] * REACHED + [words[1]] * 6
    frame = table(t_gen_event=events, t_gen=[500.0] * REACHED + [2000.0] * 6, t_mem_event=[words[0]] * N)
    if form != "frame":
        path = tmp_path / f"runs.{form}"
        frame.to_csv(path, index=False) if form == "csv" else frame.to_parquet(path)
        frame = path
    source = read_source(frame)
    assert source.default_rule.budget == 2000
    assert source.completed(2000).frame["t_gen_event"].tolist() == [True] * REACHED + [False] * 6


def test_an_event_is_concluded_from_its_step_where_that_is_sure():
    frame, notes = completed(table(steps=3000).drop(columns=["t_mem_event", "t_gen_event"]))
    assert frame["t_gen_event"].tolist() == [True] * REACHED + [False] * 6
    assert frame["t_mem_event"].all()
    assert notes == ["No column says whether t_mem and t_gen were reached: they were where they are steps."]
    doubtful = table(t_gen=[500.0] * REACHED + [3000.0] * 6).drop(columns="t_gen_event")
    with pytest.raises(DataError, match=r"no column t_gen_event, and 6 runs have t_gen at the last step \(3,000\)"):
        completed(doubtful)


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("soon", "'soon' (row 3) is not a step"),
        ("1,5", "'1,5' (row 3) is not a step"),
        ([1], "'[1]' (row 3) is not a step"),
        (2.0**60, "(row 3) is not a step"),
        (10**400, "is true but t_gen is not a step"),
    ],
)
def test_a_cell_that_is_no_step_is_named(cell, says):
    steps = pd.Series(table()["t_gen"].tolist(), dtype=object)
    steps[3] = cell
    source = read_source(table(t_gen=steps))
    with pytest.raises(DataError) as error:
        RegimeMap.fit(source.completed(3000).frame, {"fraction": "linear"}, rule=source.rule_with(budget=3000))
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("parts", "says"),
    [({"budget": 0}, "budget = 0"), ({"threshold": 0.0}, "threshold = 0"), ({"ratio": 0.0}, "ratio = 0"),
     ({"gap": 1.0, "ratio": 2.0}, "exactly one of the two")],
)  # fmt: skip
def test_a_part_of_a_rule_that_is_zero_is_a_part_that_was_given(parts, says):
    with pytest.raises(ConfigError, match=says):
        read_source(table()).rule_with(**({"budget": 3000} | parts))
