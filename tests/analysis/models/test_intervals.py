"""Times between two evaluations: the likelihood's derivatives, and a known truth seen at powers of ten alone."""

import dataclasses

import numpy as np
import pytest

from analysis import RegimeMap, RegimeRule
from analysis.models.critical_law import fit_critical_law
from analysis.models.likelihoods import Observations, whole_likelihood
from analysis.models.milestone_times import MilestoneTimes
from analysis.runs.axes import features
from analysis.runs.run_table import allowed_regimes, check_runs
from grokcore.errors import DataError

POWERS = (1, 10, 100, 1000, 10_000)


def evaluated_at(frame, steps):
    """Return runs as a log with these evaluations alone has them: the first at which each time had come, and before."""
    at, seen = np.asarray(steps, dtype=float), frame.copy()
    for name in ("t_mem", "t_gen"):
        place = np.searchsorted(at, frame[name].to_numpy())
        event = frame[f"{name}_event"].to_numpy() & (place < len(at))
        seen[name] = np.where(event, at[np.minimum(place, len(at) - 1)], at[-1])
        seen[f"{name}_event"] = event
        seen[f"{name}_lower"] = np.where(event, np.where(place > 0, at[place - 1], 0.0), np.nan)
    return seen


def without_intervals(frame):
    """Return the same table as it is without its intervals: every time at its upper end."""
    return frame.drop(columns=["t_mem_lower", "t_gen_lower"])


@pytest.mark.parametrize("noise", [0.3, 2.0])
def test_every_derivative_of_an_interval_is_the_slope_of_what_it_derives(noise):
    rng = np.random.default_rng(0)
    low, latent, step = rng.normal(size=200), 4 * rng.normal(size=200), 1e-5
    seen = Observations(points=np.zeros((200, 1)), low=low, high=low + rng.uniform(0.05, 3, 200), blur=np.zeros(200))

    def at(shift, grown=0.0):
        return dataclasses.asdict(whole_likelihood(seen, latent + shift, noise * np.exp(grown), 0.01))

    found = at(0.0)
    for name, above, sign in (("first", "value", 1), ("weight", "first", -1), ("third", "weight", -1)):
        slope = sign * (at(step)[above] - at(-step)[above]) / (2 * step)
        np.testing.assert_allclose(found[name], slope, rtol=1e-3, atol=2e-3)
    for name in ("value", "first", "weight"):
        slope = (at(0.0, step)[name] - at(0.0, -step)[name]) / (2 * step)
        np.testing.assert_allclose(found[f"{name}_noise"], slope, rtol=1e-3, atol=1e-3)


def test_an_interval_without_an_end_is_one_sided_and_a_far_one_stays_finite():
    rows = {"points": np.zeros((4, 1)), "blur": np.zeros(4)}
    wide = Observations(low=np.array([0.0, 0, -1e9, 5]), high=np.array([1e3, 1e6, 0, 5.1]), **rows)
    open_ended = Observations(low=np.array([0, 0, -np.inf, 5]), high=np.array([np.inf, np.inf, 0, np.inf]), **rows)
    latent = np.array([-0.5, -30.0, 25.0, -4e3])
    for noise in (0.1, 0.01):
        found, known = (dataclasses.asdict(whole_likelihood(seen, latent, noise)) for seen in (wide, open_ended))
        for name, values in found.items():
            assert np.isfinite(values).all(), name
            np.testing.assert_allclose(values[:3], known[name][:3], rtol=1e-3, atol=1e-2)


def test_times_seen_at_powers_of_ten_alone_are_unbiased_and_taken_for_exact_they_are_not(known):
    """160 runs, noise .12: the mean error of log10 t_gen is below .1 by intervals, above .4 by their upper ends."""
    seen = evaluated_at(known.runs(160, 0), POWERS)
    points = known.points(256, 99)
    t_mem, delay = known.median_times(points)
    reached = t_mem + delay <= known.rule.budget
    bias = {}
    for name, frame in (("interval", seen), ("exact", without_intervals(seen))):
        runs = check_runs(frame, known.scales(), 0.9)
        times = MilestoneTimes.fit(runs, features(runs.axes, runs.table)).predict(features(runs.axes, points))
        found = np.log10(10**times.mem.median + 10**times.delay.median) - np.log10(t_mem + delay)
        bias[name] = float(found[reached].mean())
    assert abs(bias["interval"]) < 0.1
    assert bias["exact"] > 0.4


def test_the_law_of_such_runs_is_recovered(known):
    seen = evaluated_at(known.runs(160, 0), POWERS)
    law = fit_critical_law(check_runs(seen, known.scales(), 0.9))
    for name, truth in (("a_optimizer.decay", 0.8), ("gamma", 1.2), ("critical_fraction", 0.3)):
        assert law.estimates.loc[name, "low"] < truth < law.estimates.loc[name, "high"]
    wrong = fit_critical_law(check_runs(without_intervals(seen), known.scales(), 0.9), intervals=False)
    assert wrong.estimates.loc["a_optimizer.decay", "estimate"] < 0.2


def test_the_edge_of_memorization_is_where_it_is_between_two_evaluations(known):
    """A budget of 3,000 lies between the evaluations at 1,000 and 10,000: the upper ends make the regime too large."""
    rule = RegimeRule(budget=3000, ratio=6.0)
    seen, points = evaluated_at(known.runs(128, 0), POWERS), known.points(256, 99)
    truth = (known.truth(points, rule) == "memorization").mean()
    maps = [RegimeMap.fit(frame, known.scales(), rule=rule) for frame in (seen, without_intervals(seen))]
    share, too_large = ((one.probabilities(points).idxmax(axis=1) == "memorization").mean() for one in maps)
    assert abs(share - truth) < 0.06
    assert too_large > truth + 0.15
    assert any("interval-censored" in warning for warning in maps[0].warnings)
    assert not maps[0].runs["known"].all()


def test_a_run_may_be_of_every_regime_its_interval_reaches_into(known):
    frame = known.runs(16, 0).assign(t_mem=100, t_mem_event=True, t_gen=1000, t_gen_event=True)
    frame = frame.assign(t_mem_lower=98, t_gen_lower=[900] * 8 + [100] * 8)
    runs = check_runs(frame, known.scales(), 0.9)
    allowed = allowed_regimes(runs, RegimeRule(budget=450, ratio=5.0))
    np.testing.assert_array_equal(allowed[0], [False, True, False, False])
    np.testing.assert_array_equal(allowed[8], [False, True, False, True])
    np.testing.assert_array_equal(
        allowed_regimes(runs, RegimeRule(budget=10_000, ratio=5.0))[8], [False, False, True, True]
    )


def test_evaluations_close_together_say_what_our_own_clock_says(known):
    frame = known.runs(64, 0)
    told = frame.assign(**{f"{name}_lower": np.floor(frame[name] / 1.025) for name in ("t_mem", "t_gen")})
    runs, again = (check_runs(one, known.scales(), 0.9) for one in (frame, told))
    assert again.warnings == runs.warnings
    first, second = (
        MilestoneTimes.fit(one, features(one.axes, one.table)).predict(np.full((1, 2), 0.5)) for one in (runs, again)
    )
    np.testing.assert_allclose(first.delay.median, second.delay.median, atol=0.01)


def test_a_lower_end_that_is_none_is_refused(known):
    frame = known.runs(16, 0)
    with pytest.raises(DataError, match="t_gen_lower is not a step before t_gen in"):
        check_runs(frame.assign(t_gen_lower=frame["t_gen"]), known.scales(), 0.9)
