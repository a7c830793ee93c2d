"""Survival curves: textbook numbers, a power and a false-alarm rate, and a mean that censoring does not move."""

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.survival import cells, kaplan_meier, log_rank, restricted_mean
from grokcore.errors import DataError

# Remission times of 21 patients on 6-MP (Freireich et al. 1963), as printed in every textbook.
STEPS = [6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
EVENTS = [True] * 9 + [False] * 12
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]


def test_the_textbook_curve_comes_out():
    curve = kaplan_meier(STEPS, EVENTS).set_index("step")
    expected = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
    for step, survival in expected.items():
        assert curve.loc[step, "survival"] == pytest.approx(survival, abs=5e-4)
    assert curve.loc[0, "survival"] == 1
    assert curve.loc[6, "at_risk"] == 21
    assert (curve["low"] <= curve["survival"]).all()
    assert (curve["survival"] <= curve["high"]).all()


def test_the_textbook_test_comes_out():
    found = log_rank(STEPS, EVENTS, PLACEBO, [True] * 21)
    assert found.statistic**2 == pytest.approx(16.79, abs=0.01)
    assert found.p_value == pytest.approx(4.17e-5, rel=0.01)


def test_equal_groups_are_called_different_one_time_in_twenty():
    """With n = 300 pairs of 20 at level .05: between 3 and 28 alarms, which a true level leaves once in 10,000."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(300):
        a, b = rng.exponential(100, 20), rng.exponential(100, 20)
        found = log_rank(np.minimum(a, 150), a <= 150, np.minimum(b, 150), b <= 150)
        alarms += found.p_value < 0.05
    assert 3 <= alarms <= 28


def test_groups_that_never_generalise_are_not_told_apart():
    assert log_rank([100, 100], [False, False], [100], [False]).p_value == 1


def test_the_restricted_mean_is_the_mean_of_what_was_cut_at_the_horizon():
    rng = np.random.default_rng(1)
    time = rng.exponential(1000, 400)
    found = restricted_mean(np.minimum(time, 800), time <= 800, 800)
    assert found.mean == pytest.approx(np.minimum(time, 800).mean())
    truth = 1000 * (1 - np.exp(-0.8))
    assert found.low < truth < found.high


def test_a_horizon_nobody_was_followed_to_is_refused():
    with pytest.raises(DataError, match="horizon 500 is beyond"):
        restricted_mean([100, 200], [True, False], 500)
    assert restricted_mean([100, 200], [True, True], 500).mean == 150


def test_cells_are_compared_with_the_rest():
    frame = pd.DataFrame(
        {
            "decay": [0.1] * 12 + [1.0] * 12,
            "t_gen": [1000] * 12 + list(range(100, 220, 10)),
            "t_gen_event": [False] * 12 + [True] * 12,
        }
    )
    table = cells(frame, ["decay"], horizon=1000).set_index("decay")
    assert table.loc[1.0, "generalised"] == 12
    assert table.loc[0.1, "mean"] == 1000
    assert table.loc[1.0, "p_value"] < 1e-4
    with pytest.raises(DataError, match="unknown column 'rate'"):
        cells(frame, ["rate"], horizon=10)
