"""Forgetting: what was reached and kept is lost for good; laws of its step, and what a run must be followed for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokcore import ConfigError, EarlyStopping, Milestone, Outcome, RegimeRule, train
from grokcore.engine.evaluation_schedule import evaluation_steps
from grokcore.records.milestones import KEPT, first_passage, forgetting

STEPS = np.array(evaluation_steps(10_000))
CURVES = st.lists(st.sampled_from([0.1, 0.95]), min_size=len(STEPS), max_size=len(STEPS))


def curve(reached=1000, lost=5000):
    """Return accuracies that are high from step `reached` to before `lost`."""
    return np.where((reached <= STEPS) & (lost > STEPS), 0.95, 0.1)


def test_the_step_is_the_first_evaluation_after_the_last_that_was_high():
    found = forgetting(STEPS, curve(), 0.9)
    assert found == Milestone(event=True, step=int(STEPS[STEPS >= 5000][0]))


@pytest.mark.parametrize(
    ("accuracies", "why"),
    [
        (curve(lost=10**9), "it was never lost"),
        (curve(reached=10**9), "it was never reached"),
        (curve(reached=1000, lost=1100), "it was not kept"),
        (curve(lost=9500), "the run ends too soon to say that it is for good"),
        (np.where(STEPS == 10_000, 0.95, curve()), "it came back at the end"),
    ],
)
def test_it_is_censored_at_the_last_step_where(accuracies, why):
    assert forgetting(STEPS, accuracies, 0.9) == Milestone(event=False, step=10_000), why


@given(CURVES)
def test_forgetting_follows_generalising_by_what_counts_as_kept_and_ends_below(values):
    found, reached = forgetting(STEPS, values, 0.9), first_passage(STEPS, values, 0.9)
    if found.event:
        assert reached.event
        assert KEPT * max(reached.step, 1) <= found.step <= STEPS[-1] / KEPT
        assert max(np.array(values)[found.step <= STEPS]) < 0.9


@given(CURVES)
def test_what_was_not_evaluated_changes_nothing(values):
    """Rows without accuracies, as other tools write between evaluations, are left out."""
    holes = np.insert(np.array(values), range(1, len(values)), np.nan)
    between = np.insert(STEPS.astype(float), range(1, len(STEPS)), (STEPS[1:] + STEPS[:-1]) / 2)
    assert forgetting(between, holes, 0.9) == forgetting(STEPS, values, 0.9)


def test_a_run_that_forgets_says_so_and_one_that_left_early_could_not(make_config):
    # The rate grows all along: it passes where the network generalises, then where decay lets it be one at all.
    config = make_config(
        fraction=0.9, optimizer={"name": "adamw", "rate": 1.5, "decay": 1.0, "warmup": 2000}, steps=2000, seed=2
    )
    (whole,) = train([config], measures="none")
    (early,) = train([config], measures="none", retire=EarlyStopping.asked(True))
    assert whole.outcome is Outcome.FORGOTTEN
    assert whole.milestone("val", 0.9) == early.milestone("val", 0.9)
    row = whole.row(RegimeRule(budget=2000, ratio=5))
    assert row["t_forget_event"]
    assert early.steps < row["t_forget"] == whole.forgetting(0.9).step
    assert early.outcome is Outcome.RETIRED
    assert not early.forgetting(0.9).event


def test_a_number_follows_runs_longer(make_config):
    config = make_config(
        fraction=0.9, optimizer={"name": "adamw", "rate": 0.5, "decay": 1.0, "warmup": 2000}, steps=2000
    )
    soon, late = (train([config], measures="none", retire=EarlyStopping.asked(asked))[0] for asked in (True, 4.0))
    assert soon.outcome is Outcome.RETIRED
    assert late.outcome is Outcome.RETIRED or late.steps == 2000
    assert late.steps > 2 * soon.steps
    assert EarlyStopping.asked(False) is None
    with pytest.raises(ConfigError, match="window"):
        EarlyStopping.asked(0.5)
