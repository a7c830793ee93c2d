"""Runs that a forecast stopped: the map takes its word, tables do not; other rules are not taken at their word."""

import numpy as np
import pandas as pd
import pytest

from analysis import RegimeMap
from analysis.figures import laws
from analysis.forecast.hazard_rule import Verdict
from analysis.runs.ruled_out import ruled_out
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


def recorded(accuracy=0.9):
    """Return `runs` with all milestones: those stopped reached .5 in training, half of them .9 and .5 in validation."""
    table, late = runs(WHY)
    half = np.arange(len(table)) % 2 == 0
    reached = {("train", 0.5): late, ("train", 0.9): late & half, ("val", 0.5): late & half}
    for split in ("train", "val"):
        for threshold in (0.5, 0.9, 0.95, 0.99):
            event = ~late | reached.get((split, threshold), np.zeros(60, dtype=bool))
            name = f"t_{split}_{round(100 * threshold):03d}"
            step = np.where(event, 60 if split == "train" else 300, 400)
            table[name], table[f"{name}_event"] = np.where(late, step, 60 if split == "train" else 900), event
    return table.assign(ruled_out=3000, ruled_out_accuracy=accuracy), late, half


@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("accuracy", [0.5, 0.9, 0.95])
def test_the_word_counts_for_its_accuracy_and_higher_ones_and_of_memorising_where_that_was_asked(threshold, accuracy):
    table, late, half = recorded(accuracy)
    for checked in (check_runs(table, SCALES, threshold), check_runs(table, SCALES, 0.9).at_threshold(threshold)):
        for name, split in (("t_mem", "train"), ("t_gen", "val")):
            column = f"t_{split}_{round(100 * threshold):03d}"
            step, event = checked.milestone(name)
            assert event.tolist() == table[f"{column}_event"].tolist()
            open_ended = late & ~event
            counts = open_ended & (threshold >= accuracy)
            if name == "t_mem":
                # It was asked of those that had not memorised by the forecast's accuracy when they were stopped.
                counts &= ~table[f"t_train_{round(100 * accuracy):03d}_event"].to_numpy()
            assert (step[counts] == 3000).all()
            assert (step[~counts] == table[column][~counts]).all()
    assert half.any()


def test_at_a_lower_threshold_a_stopped_run_is_censored_where_it_was_stopped_and_the_map_says_so():
    table, late, half = recorded()
    low, own, high = (
        RegimeMap.fit(table, SCALES, rule=RegimeRule(threshold=t, budget=3000, ratio=5)) for t in (0.5, 0.9, 0.95)
    )
    said = " ".join(low.warnings)
    assert f"{(late & ~half).sum()} of 60 runs were stopped by a forecast of accuracy ≥ 0.9, which says nothing" in said
    assert "count as not generalising" not in said
    assert f"{late.sum()} of 60 runs were stopped by a forecast, and count as not" in " ".join(own.warnings)
    assert all("says nothing of" not in said for one in (own, high) for said in one.warnings)
    # Of those that reached .5 all is known; of the others nothing beyond the step at which they were stopped.
    assert low.runs["known"].tolist() == (~late | half).tolist()
    assert not own.runs["known"][late].any()
    # At .95 those that had memorised by .9 may yet memorise: only the others are ruled out there.
    allowed = allowed_regimes(high.checked, high.rule)
    assert (allowed[late & half] == [True, True, False, False]).all()
    assert (allowed[late & ~half] == [True, False, False, False]).all()
    # The page relabels the same runs, and models ask the same of them.
    for threshold, fitted in ((0.5, low), (0.95, high)):
        again = own.checked.at_threshold(threshold)
        assert again.milestone("t_mem")[0].tolist() == fitted.checked.milestone("t_mem")[0].tolist()
        assert again.milestone("t_gen")[0].tolist() == fitted.checked.milestone("t_gen")[0].tolist()


def test_survival_curves_take_the_word_where_the_map_does():
    table, late, _ = recorded()
    for threshold, until in ((0.9, 3000), (0.5, 900)):
        fitted = RegimeMap.fit(table, SCALES, rule=RegimeRule(threshold=threshold, budget=3000, ratio=5))
        found = laws.info(fitted)
        steps = {step for axis in found.axes for third in axis.thirds for step in third.curve["step"]}
        assert max(steps) == until
        assert (laws.STOPPED in found.caption) == (threshold == 0.9)
    assert late.any()


def test_a_word_without_its_accuracy_is_the_shipped_forecasters_and_a_foreign_column_does_no_harm():
    table, late, _ = recorded()
    for given in (table.drop(columns="ruled_out_accuracy"), table.assign(ruled_out_accuracy="high")):
        checked = check_runs(given, SCALES, 0.9)
        assert (checked.believed_until("t_gen") == np.where(late, 3000, 0)).all()
        assert not checked.at_threshold(0.5).believed_until("t_gen").any()
