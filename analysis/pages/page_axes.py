"""Axes and sliders as the page's script looks them up: ticks, stops, and how the map is drawn between grid points."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from analysis.figures import plane
from analysis.figures.base import number, pretty

if TYPE_CHECKING:
    from analysis.maps.regime_map import RegimeMap
    from analysis.runs.axes import Axis

PIXELS = 144
"""Steps between points along an axis, about, in which the page draws the map."""
SLIDER_STOPS = 1001
"""Stops of the sliders for budget, gap and ratio."""


def field_of(values: npt.ArrayLike, kind: str) -> dict[str, Any]:
    """Return an array as the page reads it: base64 of little-endian numbers of a `kind`, as "f4"."""
    data = np.asarray(values).astype(f"<{kind}").tobytes()
    return {"data": base64.b64encode(data).decode(), "kind": kind}


def words_of(axes: Sequence[Axis]) -> list[str]:
    """Return what each axis is called in commands and addresses: its short name, or the whole where two share it."""
    shorts = [axis.short for axis in axes]
    return [axis.short if shorts.count(axis.short) == 1 else axis.name for axis in axes]


def axis_data(axis: Axis, word: str, grid: npt.NDArray[np.float64], opened: float) -> dict[str, Any]:
    """Return an axis for the page: its ticks, its stops and its drawn points."""
    major, _ = plane.ticks(axis, 6)
    zero = axis.scale == "log" and axis.zero
    # By six digits, so that where the page opens is no second stop beside a point of the grid.
    stops = {float(f"{value:.6g}"): float(value) for value in sorted([opened, *(axis.levels or grid)])}
    return {
        "name": word,
        "label": pretty(axis.name),
        "scale": axis.scale,
        "low": axis.low,
        "high": axis.high,
        "zero": bool(zero),
        "ticks": [[number(value), float(plane.position(axis, value))] for value in ([0.0] if zero else []) + major],
        "size": len(grid),
        "stops": list(stops),
        "units": [float(plane.position(axis, value)) for value in stops.values()],
        "grid": grid_points(range(len(grid))),
        "slices": [grid_points([_place(axis, grid, value)]) for value in stops.values()],
        "fine": fine_points(len(grid), zero=bool(zero)),
    }


def probability_axis() -> dict[str, Any]:
    """Return what stands for the axis up where a map has one axis only."""
    return {
        "name": "",
        "label": "probability",
        "scale": "linear",
        "low": 0,
        "high": 1,
        "zero": False,
        "ticks": [[f"{tick / 5:g}", tick / 5] for tick in range(6)],
        "size": 1,
        "fine": {"low": 0, "step": 1, **grid_points([0])},
    }


def opening(axis: Axis, at: Mapping[str, float]) -> float:
    """Return where the page opens on an axis that is not drawn: where it was asked to, or in the middle."""
    value = at.get(axis.name, at.get(axis.short))
    return float(axis.middle if value is None else value)


def _place(axis: Axis, grid: npt.NDArray[np.float64], value: float) -> float:
    """Return where a value stands in an axis's grid, between two indices if it is between two of its values."""
    skip = int(axis.scale == "log" and axis.zero)
    if skip and value == 0:
        return 0.0
    place = skip + float(np.clip(plane.position(axis, value), 0, 1)) * (len(grid) - 1 - skip)
    return round(place, 6)


def grid_points(places: Sequence[float]) -> dict[str, Any]:
    """Return points at places of an axis's grid as `fine_points` does: interpolated between two where not at one."""
    low = np.floor(places).astype(int)
    f = np.asarray(places) - low
    index = np.stack([low, np.ceil(places).astype(int), low, low], 1)
    weight = np.stack([1 - f, f, 0 * f, 0 * f], 1)
    return {"count": len(low), "index": index.ravel().tolist(), "weight": weight.ravel().tolist()}


def fine_points(count: int, *, zero: bool) -> dict[str, Any]:
    """Return the points at which the page draws an axis of `count` grid points, and each one's four grid points.

    The value at a drawn point is the sum of those at `index` by `weight`: a Catmull-Rom spline through the grid's
    points, which are among the drawn and keep their values, and straight on beyond its ends. The first point is at
    unit coordinate `low`: below 0 where the grid begins with a category zero, whose strip takes its value all over.
    """
    skip = int(zero)
    spans = count - 1 - skip
    steps = spans * max(1, round(PIXELS / max(spans, 1)))
    u = np.linspace(0, spans, steps + 1)
    left = np.minimum(np.floor(u + 1e-9), max(spans - 1, 0)).astype(int)
    f = u - left
    weight = np.stack([-f + 2 * f**2 - f**3, 2 - 5 * f**2 + 3 * f**3, f + 4 * f**2 - 3 * f**3, f**3 - f**2], 1) / 2
    first, last = left == 0, left + 2 > spans
    weight[first] = weight[first] @ [[0, 2, -1, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    weight[last] = weight[last] @ [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, -1, 2, 0]]
    index = skip + np.clip(left[:, None] + np.arange(-1, 3), 0, spans)
    strip = math.ceil(-plane.ZERO_STRIP[0] * steps) if zero else 0
    index = np.concatenate([np.zeros((strip, 4), int), index])
    weight = np.concatenate([np.tile([1.0, 0, 0, 0], (strip, 1)), weight])
    return {
        "low": -strip / steps,
        "step": 1 / steps,
        # A point is the middle of its pixel.
        "ends": [-(strip + 0.5) / steps, 1 + 0.5 / steps],
        "count": len(index),
        "index": index.ravel().tolist(),
        "weight": [round(float(value), 6) for value in weight.ravel()],
    }


def slider_stops(fitted: RegimeMap, thresholds: Sequence[float], opened: Mapping[str, Any]) -> dict[str, list[float]]:
    """Return the values on which each slider of the rule can stop; those of the fitted rule are among them."""
    limit = float(fitted.budget_limit)
    ends = {"budget": (max(1.0, limit / 1000), limit), "gap": (1.0, limit), "ratio": (1.0, 1000.0)}
    stops = {"threshold": list(thresholds)}
    for name, (low, high) in ends.items():
        values = np.geomspace(low, max(high, low), SLIDER_STOPS)
        rounded = [float(f"{value:.3g}") if name == "ratio" else round(float(f"{value:.3g}")) for value in values[:-1]]
        stops[name] = [*rounded, high]
        nearest = min(range(SLIDER_STOPS), key=lambda place: abs(stops[name][place] - opened[name]))
        stops[name][nearest] = opened[name]
    return stops
