"""What a map expects of a run follows from the runs before it alone, and counts in a forecast."""

import numpy as np
import pandas as pd

from analysis.forecast.forecaster import Forecaster, KnownRun
from grokcore.records.regimes import RegimeRule
from sweeps.expectations import FIRST, expected_in_order

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
