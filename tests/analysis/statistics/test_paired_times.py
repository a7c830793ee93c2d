"""Paired times: intervals that hold the truth as often as they say, and few false alarms, by simulated methods."""

import numpy as np
import pytest

from analysis.statistics.paired_times import Times, holm, log_ratios, speedup
from grokcore.errors import DataError

BUDGET = 1500.0
PAIRS = 12


def league(rng, effect, count):
    """Simulate `count` comparisons: times log-normal over seeds (σ .35 in ln, as published), hard seeds shared."""
    hard = rng.normal(0, 0.2, (count, PAIRS))
    slow, fast = (np.exp(6.3 + hard + rng.normal(0, 0.35, (count, PAIRS)) - shift) for shift in (0.0, np.log(effect)))
    for a, b in zip(slow, fast, strict=True):
        yield log_ratios(Times.within(a, a < 1e9, BUDGET), Times.within(b, b < 1e9, BUDGET))


def test_a_known_answer():
    """Of pairs that all agree the signs flip the sum 2^N ways, two of them as extreme."""
    found = speedup(np.log([2.0, 3.0, 2.0, 3.0, 2.0, 3.0, 2.0, 3.0]))
    assert found.ratio == pytest.approx(6**0.5)
    assert found.p_value == 2 / 2**8
    assert (found.low, found.high) == pytest.approx((2, 3)), "the means of more than 6 of the 255 subsets are 2, or 3"


def test_no_difference_is_no_finding():
    assert speedup(np.zeros(8)) == (1.0, 1.0, 1.0, 1.0, 8)
    few = speedup(np.log([2.0, 2.0, 2.0]))
    assert (few.low, few.high) == (0.0, np.inf)


def test_turning_the_pair_round_turns_the_ratio():
    logs = np.random.default_rng(1).normal(0.3, 0.5, 10)
    one, other = speedup(logs), speedup(-logs)
    assert [one.ratio, one.low, one.high] == pytest.approx([1 / other.ratio, 1 / other.high, 1 / other.low])
    assert one.p_value == other.p_value


def test_a_run_that_never_gets_there_counts_with_the_budget():
    times = Times.within([100, 5000, 1500], [True, True, False], 1500)
    assert times.steps.tolist() == [100, 1500, 1500]
    assert times.events.tolist() == [True, False, False]
    both = Times.within([9], [False], 1500)
    assert log_ratios(both, both).tolist() == [0.0]


def test_pairs_need_partners():
    with pytest.raises(DataError, match="3 and 2 runs make no pairs"):
        log_ratios(Times.within([1, 2, 3], [True] * 3, 9), Times.within([1, 2], [True] * 2, 9))
    with pytest.raises(DataError, match="no pair"):
        speedup([])


@pytest.mark.parametrize("effect", [1.0, 1.5, 4.0])
def test_intervals_hold_the_truth(effect):
    """600 comparisons of 12 pairs: 95 % hold the ratio of restricted times; below 92.5 % comes once in 400.

    With an effect of 1 or 1.5 a twentieth or more of the runs are censored, and the truth is that of the restricted.
    """
    rng = np.random.default_rng(2)
    truth = np.exp(np.mean([logs.mean() for logs in league(rng, effect, 20_000)]))
    held = [found.low <= truth <= found.high for found in map(speedup, league(rng, effect, 600))]
    assert 0.925 < np.mean(held) < 0.975


def test_more_pairs_than_can_be_counted_out_are_drawn():
    """With 20 pairs subsets are drawn; 300 intervals, of which below 91 % or all holding comes once in 500."""
    rng = np.random.default_rng(3)
    found = [speedup(rng.normal(0.5, 0.6, 20)) for _ in range(300)]
    assert 0.91 < np.mean([one.low <= np.exp(0.5) <= one.high for one in found]) < 1
    assert all(one.p_value > 1 / 2**15 for one in found)


def test_a_league_of_methods_without_effect_has_few_false_alarms():
    """200 leagues of 40 comparisons at level .05: at most 10 expected with any alarm; more than 20 once in 1,000."""
    rng = np.random.default_rng(4)
    alarms = sum(min(holm([speedup(logs).p_value for logs in league(rng, 1.0, 40)])) <= 0.05 for _ in range(200))
    assert alarms <= 20


def test_a_league_finds_what_is_there():
    """Ten comparisons among forty are of methods three times as fast: nine of ten are found."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(10):
        logs = [*league(rng, 3.0, 10), *league(rng, 1.0, 30)]
        corrected = holm([speedup(one).p_value for one in logs])
        found.append(np.mean(np.array(corrected[:10]) <= 0.05))
    assert np.mean(found) > 0.9


def test_holm_is_the_textbook_one():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.5, 0.9]) == [1.0, 1.0]
