"""How wide a map's bands are: the one number per boundary that says when more runs are no longer worth it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.stats import qmc

from analysis.maps.boundaries import NAMES
from analysis.maps.uncertainty import side_share
from analysis.models.cores import single_threaded
from analysis.runs.axes import Array

if TYPE_CHECKING:
    from analysis.maps.regime_map import RegimeMap

LINES: Final = 32
"""Lines through the box along each axis."""
POINTS: Final = 49
"""Points of a line."""
LEAST: Final = 0.05
"""Boundaries that a line along the axes crosses less often than this, on average, are too small to count."""


@single_threaded()
def band_widths(regime_map: RegimeMap) -> dict[tuple[str, str], float]:
    """Return the mean width of the 90 % band of each boundary, as a share of an axis; of all levels the widest.

    On lines through the box: the share of their points that the band holds is its volume, and how often lines along
    each axis cross the boundary is the boundary's area seen along that axis (Cauchy and Crofton). Volume over area is
    the width, exactly where the boundary is flat and too much by at most the root of the number of axes elsewhere.
    """
    found: dict[tuple[str, str], float] = {}
    for part in regime_map.parts.values() or [regime_map]:
        for pair, width in _of_level(part).items():
            found[pair] = max(width, found.get(pair, 0.0))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _of_level(part: RegimeMap) -> dict[tuple[str, str], float]:
    finder, count = part._finder, len(part.axes)
    along = np.linspace(0.0, 1.0, POINTS)
    units: list[Array] = []
    for axis in range(count):
        others = qmc.Sobol(max(count - 1, 1), rng=np.random.default_rng(axis)).random(LINES)[:, : count - 1]
        units.append(np.insert(np.repeat(others, POINTS, axis=0), axis, np.tile(along, LINES), axis=1))
    rows = np.column_stack([np.concatenate(units), *_flags(part, count)])
    rows = np.column_stack([rows, np.tile(finder.code, (len(rows), 1))])
    mixture = part.ensemble.mixture(rows)
    leading = mixture.argmax(axis=1).reshape(count, LINES, POINTS)
    found = {}
    for a, b in itertools.combinations(range(len(NAMES)), 2):
        here, there = leading[..., :-1], leading[..., 1:]
        crossings = ((here == a) & (there == b)) | ((here == b) & (there == a))
        area = float(np.linalg.norm(crossings.sum(axis=2).mean(axis=1)))
        if area < LEAST:
            continue
        share, sure = side_share(part.ensemble, rows, (a, b))
        # A third regime that is likelier than both is no part of where these two meet.
        meet = sure & (np.delete(mixture, [a, b], axis=1).max(axis=1) < mixture[:, [a, b]].max(axis=1))
        held = float((meet & (share > 0.05) & (share < 0.95)).mean())
        found[(NAMES[a], NAMES[b])] = held / area
    return found


def _flags(part: RegimeMap, count: int) -> list[Array]:
    """Return the columns that say of each axis with zeros that a point is at none."""
    return [np.zeros(count * LINES * POINTS) for axis in part.axes if axis.zero]
