"""Latents that jump: found where there is a cliff, not where there is none, and the same whatever the order of runs."""

import numpy as np
import pytest

from analysis import RegimeMap, RegimeRule
from analysis.models.change_points import PiecewisePosterior, PiecewiseProcess, Step
from analysis.models.likelihoods import Observations
from analysis.models.milestone_times import Times, delays, regimes_from_times
from analysis.runs.axes import features
from analysis.runs.run_table import check_runs
from benchmarks.diagrams import CLIFFS, SMOOTH, sobol
from benchmarks.drawn import drawn

NOISE = 0.12


def beyond(points):
    """Where the cliff is: a curved line that no axis runs along."""
    return points[:, 0] + 0.4 * np.sin(3 * points[:, 1]) > 0.75


def field(points):
    return 2.0 + 0.5 * points[:, 0] + 0.3 * np.cos(4 * points[:, 1])


def observed(n, height, top=np.inf, seed=0):
    """Return noisy values of the field with a step, seen up to `top` and known to lie above it beyond."""
    points = sobol(n, 2, seed)
    rng = np.random.default_rng(seed)
    value = field(points) + height * beyond(points) + NOISE * rng.standard_normal(n)
    low = np.minimum(value, top)
    return Observations(points=points, low=low, high=np.where(value > top, np.inf, low), blur=np.zeros(n))


@pytest.mark.parametrize("height", [1.2, -1.5])
def test_a_cliff_is_found_with_its_height_and_its_place(height):
    fitted = PiecewiseProcess.fit(observed(96, height), 2.5)
    (jump,) = fitted.change_points
    assert abs(jump.height) == pytest.approx(abs(height), abs=0.2)
    asked = sobol(1024, 2, 5)
    level = fitted.predict(asked)
    truth = field(asked) + height * beyond(asked)
    near = np.abs(level.median - truth)
    assert np.mean(near < 0.15) > 0.9
    assert fitted.noise == pytest.approx(NOISE, abs=0.05)
    higher = (level.steps[0].mean > 0) == (jump.height > 0)
    assert np.mean(higher == (beyond(asked) == (height > 0))) > 0.95


def test_a_cliff_beyond_what_was_seen_is_found_by_its_place():
    fitted = PiecewiseProcess.fit(observed(96, 2.5, top=3.4), 2.5)
    (jump,) = fitted.change_points
    asked = sobol(1024, 2, 5)
    assert jump.height > 0.7
    assert np.mean((fitted.predict(asked).median > 3.4) == beyond(asked)) > 0.95


@pytest.mark.parametrize("seed", range(4))
def test_a_smooth_field_has_no_cliff(seed):
    for height, top in ((0.0, np.inf), (0.0, 2.5)):
        assert PiecewiseProcess.fit(observed(64, height, top=top, seed=seed), 2.5).change_points == ()


def test_two_stairs_are_two_jumps():
    points = sobol(128, 2, 0)
    value = 2.0 + 1.5 * (points[:, 0] > 0.35) + 1.5 * (points[:, 0] > 0.7)
    value += NOISE * np.random.default_rng(0).standard_normal(128)
    fitted = PiecewiseProcess.fit(Observations(points=points, low=value, high=value, blur=np.zeros(128)), 3.5)
    assert len(fitted.change_points) == 2
    asked = sobol(512, 2, 5)
    truth = 2.0 + 1.5 * (asked[:, 0] > 0.35) + 1.5 * (asked[:, 0] > 0.7)
    assert np.mean(np.abs(fitted.predict(asked).median - truth) < 0.2) > 0.9


@pytest.mark.parametrize("runs", [64, 128, 192])
def test_a_jump_is_found_with_any_number_of_runs(runs):
    # In three axes, beside a field that is as rough as the jump is high, and half of the delays beyond the budget.
    diagram = drawn(10_002, 3)
    checked = check_runs(diagram.runs(sobol(256, 3, 0), 0).head(runs), diagram.axes, diagram.rule.threshold)
    fitted = PiecewiseProcess.fit(delays(checked, features(checked.axes, checked.table)), 2.8)
    (jump,) = fitted.change_points
    assert abs(jump.height) == pytest.approx(2.15, abs=0.35)


def test_what_was_found_before_is_found_again_from_there():
    seen = observed(96, 1.2)
    before = PiecewiseProcess.fit(seen.rows(np.arange(64)), 2.5)
    again = PiecewiseProcess.fit(seen, 2.5, before)
    (jump,) = again.change_points
    assert abs(jump.height) == pytest.approx(1.2, abs=0.2)


def test_many_observations_are_put_on_the_sides_found_among_some():
    seen = observed(600, 1.2)
    fitted = PiecewiseProcess.fit(seen, 2.5)
    (sides,) = fitted.sides(seen)
    right = sides == (beyond(seen.points) == (fitted.change_points[0].height > 0))
    assert np.mean(right) > 0.97


def test_the_order_of_observations_changes_nothing():
    seen = observed(96, 1.2)
    order = np.random.default_rng(3).permutation(96)
    asked = sobol(64, 2, 5)
    straight, shuffled = (PiecewiseProcess.fit(rows, 2.5).predict(asked) for rows in (seen, seen.rows(order)))
    np.testing.assert_allclose(straight.mean, shuffled.mean, atol=1e-3)
    np.testing.assert_allclose(straight.steps[0].mean, shuffled.steps[0].mean, atol=1e-2)


def test_a_refit_keeps_the_jump_and_puts_new_runs_on_its_sides():
    fitted = PiecewiseProcess.fit(observed(96, 1.2), 2.5)
    again = fitted.refitted(observed(64, 1.2, seed=1), 2.5)
    assert [jump.height for jump in again.change_points] == [jump.height for jump in fitted.change_points]
    asked = sobol(512, 2, 5)
    same = (fitted.predict(asked).steps[0].mean > 0) == (again.predict(asked).steps[0].mean > 0)
    assert same.mean() > 0.95


def level(mean, heights, sides):
    """Return a level at two points."""
    ones = np.ones(2)
    steps = tuple(Step(height, side * ones, 0.5 * ones) for height, side in zip(heights, sides, strict=True))
    return PiecewisePosterior(mean * ones, 0.04 * ones, 0.15, steps)


def test_parts_are_a_mixture_and_draws_have_their_mean():
    some = level(2.0, (1.0, -0.5), (0.3, -1.0))
    for noise in (True, False):
        parts = list(some.parts(noise=noise))
        assert sum(weight for weight, _, _ in parts) == pytest.approx(1.0)
        assert len(parts) == 4
    normals = np.random.default_rng(0).standard_normal((4000, 3))
    drawn = np.mean([some.drawn(row).median for row in normals], axis=0)
    expected = sum(weight * mean for weight, mean, _ in some.parts(noise=False))
    assert drawn == pytest.approx(expected, abs=0.02)


def test_regimes_of_jumping_times_are_those_of_simulated_runs():
    times = Times(level(2.6, (0.9,), (-0.4,)), level(2.4, (0.8,), (0.6,)))
    rule = RegimeRule(budget=1500, ratio=3.0)
    rng = np.random.default_rng(0)

    def simulated(some, n=40_000):
        draw = np.concatenate(
            [np.full(round(n * weight[0]), index) for index, (weight, _, _) in enumerate(some.parts())]
        )
        parts = list(some.parts())
        means, spreads = (np.array([part[k][0] for part in parts]) for k in (1, 2))
        return rng.permutation(means[draw] + spreads[draw] * rng.standard_normal(len(draw)))

    mem, delay = 10.0 ** simulated(times.mem), 10.0 ** simulated(times.delay)
    gen = mem + delay
    labels = rule.labels(mem, mem <= rule.budget, gen, gen <= rule.budget)
    np.testing.assert_allclose(
        regimes_from_times(times, rule)[0], np.bincount(labels, minlength=4) / len(labels), atol=0.01
    )


def test_a_map_says_where_its_times_jump():
    cliff = next(diagram for diagram in CLIFFS if diagram.name == "cliff in t_mem")
    fitted = RegimeMap.fit(cliff.runs(sobol(96, 2, 0), 0), cliff.axes, rule=cliff.rule)
    assert "a jump of t_mem" in fitted.weight_sentence
    assert fitted.model_card()["jumps_log10"]["delay"] == []
    asked = sobol(512, 2, 5)
    found = fitted.milestones(cliff.table(asked))
    assert {"t_mem_jump_1", "t_mem_side_1", "t_mem_side_1_sd"} <= set(found.columns)
    reached = found["t_mem_mean"] < np.log10(cliff.rule.budget)
    assert np.mean(reached == (cliff.times(asked)[0] < np.log10(cliff.rule.budget))) > 0.95


def test_a_smooth_diagram_is_called_smooth():
    fitted = RegimeMap.fit(SMOOTH[0].runs(sobol(64, 2, 0), 0), SMOOTH[0].axes, rule=SMOOTH[0].rule)
    assert "a jump of" not in fitted.weight_sentence
