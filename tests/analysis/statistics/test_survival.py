"""Survival curves: textbook numbers, a power and a false-alarm rate, and a mean that censoring does not move."""

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.survival import cells, kaplan_meier, log_rank, restricted_mean
from analysis.statistics.turnbull import log_rank_scores, turnbull
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


# Months until the breast retracted, looked at now and then: 46 women after radiotherapy alone, 48 after chemotherapy
# too (Finkelstein and Wolfe 1985); an interval without an end is that of a woman in whom it was not seen.
RADIATION = """
45- 6-10 0-7 46- 46- 7-16 17- 7-14 37-44 0-8 4-11 15- 11-15 22- 46- 46- 25-37 46- 26-40 46- 27-34 36-44 46-
36-48 37- 40- 17-25 46- 11-18 38- 5-12 37- 0-5 18- 24- 36- 5-11 19-35 17-25 24- 32- 33- 19-26 37- 34- 36-
"""
BOTH = """
8-12 0-22 24-31 17-27 17-23 24-30 16-24 13- 11-13 16-20 18-25 17-26 32- 23- 44-48 14-17 0-5 5-8 12-20 11- 33-40
31- 13-39 19-32 34- 13- 16-24 35- 15-22 11-17 22-32 10-35 30-34 13- 10-17 8-21 4-9 11- 14-19 4-8 34- 30-36 18-24
16-60 35-39 21- 11-20 48-
"""


def months(text):
    """Return the month at which each was seen with it, else last seen; whether it was; the month last seen without."""
    before, after = np.array([[float(end or 0) for end in pair.split("-")] for pair in text.split()]).T
    return np.maximum(before, after), after > 0, before


def test_the_published_curve_and_test_of_intervals_come_out():
    """The shares of Klein and Moeschberger (2003, example 5.2), and Z = 2.6684 of R's interval (Fay and Shaw 2010)."""
    alone, both = months(RADIATION), months(BOTH)
    curve = kaplan_meier(*alone).groupby("step")["survival"].min()
    for month, left in {5: 0.954, 7: 0.920, 8: 0.832, 12: 0.761, 25: 0.668, 34: 0.586, 40: 0.466}.items():
        assert curve[month] == pytest.approx(left, abs=1e-3)
    assert curve[11] == curve[8], "between two intervals nothing happens"
    found = log_rank(*alone[:2], *both[:2], (alone[2], both[2]))
    assert found.statistic == pytest.approx(-2.6684, abs=1e-4)
    assert found.p_value == pytest.approx(0.007622, abs=1e-5)


def test_without_wide_intervals_scores_and_shares_are_the_usual_ones():
    ends = np.where(EVENTS, STEPS, np.inf)
    usual = kaplan_meier(STEPS, EVENTS).set_index("step")["survival"]
    found = turnbull(STEPS, ends)
    np.testing.assert_allclose(found.survival[:-1], usual[found.high[:-1]], atol=1e-4)
    scores = log_rank_scores([*STEPS, *PLACEBO], [*ends, *PLACEBO])
    assert scores[21:].sum() == pytest.approx(21 - 10.75, abs=0.01), "observed less expected, as in every textbook"


def test_a_mean_of_times_seen_at_powers_of_ten_is_that_of_the_times():
    """400 times, even over log steps: taken at the evaluation after them, their mean is far too late."""
    rng = np.random.default_rng(2)
    time, at = 10 ** rng.uniform(1, 4, 400), np.array([1, 10, 100, 1000, 10_000])
    after = np.searchsorted(at, time)
    step, before = at[after].astype(float), at[after - 1].astype(float)
    found = restricted_mean(step, np.full(400, True), 5000, before)
    assert found.low < np.minimum(time, 5000).mean() < found.high
    assert restricted_mean(step, np.full(400, True), 5000).low > found.high
