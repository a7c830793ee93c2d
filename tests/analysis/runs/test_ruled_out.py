"""Runs that a forecast stopped: the map takes its word, tables do not; other rules are not taken at their word."""

import numpy as np
import pandas as pd
import pytest

from analysis import RegimeMap
from analysis.forecast.hazard_rule import Verdict
from analysis.runs.censoring import ruled_out
from analysis.runs.run_table import allowed_regimes, check_runs
from grokcore.records.older_reasons import ruled_out_until
from grokcore.records.regimes import RegimeRule

RULE = RegimeRule(budget=3000, ratio=5)
WHY = Verdict(step=400, chance=0.01, budget=3000, bound=0.04).sentence
SCALES = {"fraction": "linear", "decay": "log"}


def test_a_table_says_until_when_and_one_of_before_that_column_in_words():
    old = pd.DataFrame(
        {"outcome": "stopped", "reason": [WHY, "validation accuracy 0.1 at step 300", None, float("nan")]}
    )
    assert ruled_out(old).tolist() == [3000, 0, 0, 0]
    assert ruled_out(old.assign(outcome="finished", reason="audited: " + WHY)).tolist() == [0, 0, 0, 0]
    assert ruled_out(old.assign(ruled_out=[50, 60, 0, 0])).tolist() == [50, 60, 0, 0]
    assert ruled_out_until("audited: " + WHY) == 3000


def runs(reason):
    """Return runs that generalise above fraction .5 only; those below were stopped at step 400."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"fraction": rng.uniform(0.2, 0.9, 60), "decay": 10 ** rng.uniform(-2, 1, 60)})
    late = (table["fraction"] < 0.5).to_numpy()
    table = table.assign(t_mem=60, t_mem_event=True, t_gen=np.where(late, 400, 900), t_gen_event=~late)
    table.loc[table.index[late][:4], ["t_mem", "t_mem_event"]] = [400, False]
    return table.assign(outcome=np.where(late, "stopped", "retired"), reason=np.where(late, reason, "")), late


def test_what_it_rules_out_is_ruled_out_and_no_more():
    table, late = runs(WHY)
    checked = check_runs(table, SCALES, 0.9)
    allowed = allowed_regimes(checked, RULE)
    mem = table["t_mem_event"].to_numpy()
    assert (allowed[late & mem] == [False, True, False, False]).all()
    assert (allowed[late & ~mem] == [True, False, False, False]).all()
    assert allowed_regimes(check_runs(runs("validation accuracy 0.1")[0], SCALES, 0.9), RULE)[late][:, 2].all()
    # A larger budget than the forecast's is not ruled out.
    assert allowed_regimes(checked, RegimeRule(budget=4000, ratio=5))[late][:, 2].all()


def test_a_map_knows_where_runs_were_stopped_and_marks_them_as_uncertain():
    # Among runs that had memorised: those that had not are further to the left.
    point = pd.DataFrame({"fraction": [0.4], "decay": [0.3]})
    chances = []
    for reason in (WHY, "validation accuracy 0.1 at step 400"):
        fitted = RegimeMap.fit(runs(reason)[0], SCALES, rule=RULE)
        chances.append(fitted.probabilities(point)["memorization"].item())
        stopped = fitted.runs[fitted.runs["outcome"] == "stopped"]
        assert not stopped["known"].any()
        assert "ruled_out" not in fitted.runs
    assert chances[0] > 0.95
    assert chances[1] < 0.05


def test_a_map_says_how_many_were_stopped_and_how_many_of_them_before_memorising():
    table, late = runs(WHY)
    (said,) = [said for said in RegimeMap.fit(table, SCALES, rule=RULE).warnings if "stopped by a forecast" in said]
    assert said.startswith(f"{late.sum()} of 60 runs were stopped")
    assert "; 4 of them had not memorised, and count as not memorising in time either: confusion." in said


@pytest.mark.parametrize("reason", [WHY, ""])
def test_a_foreign_column_of_that_name_does_no_harm(reason):
    table, _ = runs(reason)
    assert len(check_runs(table.assign(ruled_out="no"), SCALES, 0.9).table) == 60
