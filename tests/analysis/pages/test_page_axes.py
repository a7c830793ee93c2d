"""What a page looks up: the points at which an axis is drawn, slices, stops of sliders, and names of axes."""

from types import SimpleNamespace

import numpy as np
import pytest

from analysis.pages.page_axes import axis_data, fine_points, grid_points, slider_stops, words_of
from analysis.runs.axes import Axis


def drawn(points, values):
    """Return the values at a page's points of an axis, as its script sums them."""
    index = np.reshape(points["index"], (-1, 4))
    return (np.reshape(points["weight"], (-1, 4)) * np.asarray(values)[index]).sum(axis=1)


@pytest.mark.parametrize("count", [2, 5, 25, 81, 241])
def test_drawn_points_go_through_the_grid_and_along_straight_lines(count):
    points = fine_points(count, zero=False)
    values = np.random.default_rng(count).normal(size=count)
    every = (points["count"] - 1) // (count - 1)
    np.testing.assert_allclose(drawn(points, values)[::every], values, atol=1e-5)
    np.testing.assert_allclose(drawn(points, np.arange(count)), np.linspace(0, count - 1, points["count"]), atol=1e-4)
    assert points["low"] == 0
    assert points["low"] + (points["count"] - 1) * points["step"] == pytest.approx(1)


def test_between_points_of_the_grid_the_drawing_is_smooth():
    grid, fine = np.linspace(0, 1, 25), np.linspace(0, 1, 145)
    found = drawn(fine_points(25, zero=False), np.sin(3 * grid))
    assert np.abs(found - np.sin(3 * fine)).max() < 2e-4


def test_a_category_zero_fills_its_strip_and_nothing_of_the_box():
    points = fine_points(26, zero=True)
    values = np.concatenate([[7.0], np.arange(25.0)])
    units = points["low"] + np.arange(points["count"]) * points["step"]
    found = drawn(points, values)
    assert units[0] <= -0.1
    np.testing.assert_allclose(found[units < -0.03], 7)
    np.testing.assert_allclose(found[units > -1e-9], 24 * units[units > -1e-9], atol=1e-4)


def test_a_slice_lies_at_a_point_of_the_grid_or_between_two():
    values = np.array([0.0, 10.0, 30.0])
    assert drawn(grid_points([0, 1, 2, 1.25]), values).tolist() == [0, 10, 30, 15]


def test_a_slider_of_an_axis_stops_at_its_values_and_where_the_page_opens():
    axis = Axis(name="optimizer.rate", scale="log", low=1e-3, high=1e-1, levels=(1e-3, 1e-2, 1e-1))
    data = axis_data(axis, "rate", axis.grid(25), 0.02)
    assert data["stops"] == [1e-3, 1e-2, 0.02, 1e-1]
    assert data["units"][1] == pytest.approx(0.5)
    places = [drawn(point, np.linspace(0, 1, 25))[0] for point in data["slices"]]
    np.testing.assert_allclose(places, data["units"], atol=1e-5)
    free = Axis(name="fraction", scale="linear", low=0.0, high=1.0)
    assert len(axis_data(free, "fraction", free.grid(25), 0.5)["stops"]) == 25


def test_axes_that_share_a_short_name_are_called_by_the_whole():
    axes = [Axis(name=name, scale="linear", low=0, high=1) for name in ("model.width", "task.width", "fraction")]
    assert words_of(axes) == ["model.width", "task.width", "fraction"]


@pytest.mark.parametrize(("budget", "gap", "ratio"), [(3000, 250, 5), (754, 30, 2.345), (40, 1, 1000)])
def test_sliders_of_the_rule_can_stop_at_the_fitted_rule(budget, gap, ratio):
    opened = {"budget": budget, "gap": gap, "ratio": ratio}
    stops = slider_stops(SimpleNamespace(budget_limit=3000), [0.5, 0.9], opened)
    assert stops["threshold"] == [0.5, 0.9]
    for name, value in opened.items():
        assert value in stops[name]
        assert stops[name] == sorted(stops[name])
    assert max(stops["budget"]) == 3000
