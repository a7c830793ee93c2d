"""What a map expects of a run follows from the runs before it alone, and counts in a forecast."""

import numpy as np
import pandas as pd

from analysis.forecast.forecaster import Forecaster, KnownRun
from grokcore.records.milestones import Milestone
from grokcore.records.regimes import RegimeRule
from sweeps.expectations import FIRST, expected_in_order
from sweeps.stopping.base import Expected

RULE = RegimeRule(budget=1000, ratio=5)
AXES = {"fraction": "linear", "decay": "log"}


def table(runs, late):
    """Return runs that memorise at 50, and generalise at 300 where the fraction is above one half."""
    rng = np.random.default_rng(0)
    fraction = rng.uniform(0.2, 0.9, runs)
    event = (fraction > 0.5) ^ np.isin(np.arange(runs), late)
    frame = pd.DataFrame({"fraction": fraction, "decay": 10 ** rng.uniform(-1, 1, runs)})
    frame = frame.assign(t_mem=50, t_mem_event=True)
    return frame.assign(t_gen=np.where(event, 300, 1000), t_gen_event=event)


def test_a_run_is_expected_of_by_those_before_it_alone():
    runs = FIRST + 8
    chances = expected_in_order(table(runs, late=[]), AXES, RULE)
    assert np.isnan(chances[:FIRST]).all()
    assert ((chances > 0.5) == table(runs, late=[])["t_gen_event"])[FIRST:].mean() > 0.8
    own = expected_in_order(table(runs, late=range(FIRST, runs)), AXES, RULE)
    assert own[FIRST:].tolist() == chances[FIRST:].tolist()


def test_runs_that_do_not_vary_let_nothing_be_expected():
    same = table(FIRST + 4, late=[]).assign(fraction=0.5, decay=1.0)
    assert np.isnan(expected_in_order(same, AXES, RULE)).all()


def test_of_two_runs_with_the_same_past_the_one_of_which_more_is_expected_has_the_better_chance():
    steps = np.array([0, 10, 40, 100, 160, 251])
    curves = {"step": steps, "train_accuracy": np.where(steps > 40, 1.0, 0.2), "val_accuracy": np.full(6, 0.2)}
    known = Forecaster.load()
    low, unknown, high = (
        known.chances(KnownRun(curves=curves, settings={"expected": chance}, budget=1000), 251)[1][-1]
        for chance in (0.01, None, 0.99)
    )
    assert low < unknown < high


STEPS = np.array([0, 10, 40, 100, 160, 251])
SLOW = {"step": STEPS, "train_accuracy": np.where(STEPS > 40, 1.0, 0.2), "val_accuracy": np.full(6, 0.2)}


def one(t_gen, **others):
    """Return a run that had memorised by step 100, and when it generalised or until when it was watched."""
    return KnownRun(curves=SLOW, settings={}, budget=1000, t_gen=t_gen, **others)


def test_the_level_of_a_sweep_follows_what_its_runs_became_and_is_drawn_to_that_of_others():
    known = Forecaster.load()
    assert known.level_of([]) == 0
    late, never = one(Milestone(event=True, step=700)), one(Milestone(event=False, step=1000))
    levels = [known.level_of(runs) for runs in ([never] * 20, [never], [late], [late] * 20)]
    assert levels == sorted(levels)
    assert levels[0] < 0 < levels[-1]
    stopped = one(Milestone(event=False, step=160))
    assert levels[0] < known.level_of([stopped] * 20) < 0, "a run that was stopped tells of the time until then alone"


def test_a_level_moves_the_chance_to_generalise_and_not_the_one_to_memorise():
    known = Forecaster.load()
    low, plain, high = (one(None, level=level) for level in (-1.0, 0.0, 1.0))
    chances = [float(known.chances(run, 251)[1][-1]) for run in (low, plain, high)]
    assert chances == sorted(set(chances))
    ((_, before),), ((_, after),) = (known.chances_of([run], 251, "memorising") for run in (plain, high))
    assert before.tolist() == after.tolist()


def test_what_was_expected_is_read_as_it_was_written_and_as_it_was_before_there_were_levels():
    for expected in (Expected(), Expected(0.25, -0.5)):
        assert Expected.of(list(expected)) == expected
    assert Expected.of(None) == Expected()
    assert Expected.of(0.25) == Expected(0.25, 0.0)
