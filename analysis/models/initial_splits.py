"""First guesses of which observations lie beyond a change point, from their places and values alone.

None needs to be right: `analysis.models.split_search` lets runs change sides afterwards.
"""

from __future__ import annotations

import numpy as np
from scipy.cluster.vq import kmeans2

from analysis.models.kernels import Array
from analysis.models.likelihoods import Observations

BEYOND = 0.3
"""How far, in the latent's unit, a censored value is taken to lie beyond its edge in a first guess."""
CLUSTERED = (1.5, 3.0)
"""Weights of the value against the places, in standard deviations, where both are clustered."""
SCANNED = 256
"""Directions in which a break is looked for, half of them straight."""
BROKEN = (0.15, 0.3, 0.5, 0.7, 0.85)
"""Shares of the runs on one side of a break."""
BREAKS = 6
"""Breaks that become first guesses."""
DIFFERENT = 0.12
"""Share of the runs by which two of them differ at least."""


def first_guesses(seen: Observations) -> list[Array]:
    """Return first guesses of who is beyond: clusters of places and values, and where a quadratic trend breaks best."""
    value = seen.edges + np.where(seen.high == np.inf, BEYOND, 0.0)
    return [
        *(_clusters(seen.points, scale * _standard(value)) for scale in CLUSTERED),
        *_breaks(seen.points - 0.5, value),
    ]


def _clusters(points: Array, value: Array) -> Array:
    """Return the two means' clusters of places and values, begun at the least and the greatest value."""
    if value.min() == value.max():
        return np.zeros(len(value))
    rows = np.column_stack([_standard(points), value])
    middles = rows[[int(value.argmin()), int(value.argmax())]]
    _, nearest = kmeans2(rows, middles, iter=30, minit="matrix")
    return np.asarray(nearest, dtype=float)


def _breaks(off: Array, value: Array) -> list[Array]:
    """Return the half spaces and quadrics at whose edge a step explains most of what a quadratic trend leaves."""
    squares = [off[:, i] * off[:, j] for i in range(off.shape[1]) for j in range(i, off.shape[1])]
    trend, _ = np.linalg.qr(np.column_stack([np.ones(len(off)), off, *squares]))
    ways = np.random.default_rng(0).standard_normal((SCANNED, off.shape[1] + len(squares)))
    ways[: SCANNED // 2, off.shape[1] :] = 0.0
    along = np.column_stack([off, *(2.0 * square for square in squares)]) @ ways.T
    sides = np.column_stack([along > np.quantile(along, share, axis=0) for share in BROKEN]).astype(float)
    rest, steps = (x - trend @ (trend.T @ x) for x in (value, sides))
    gain = (rest @ steps) ** 2 / np.maximum((steps**2).sum(axis=0), 1e-9)
    chosen: list[Array] = []
    for side in sides[:, np.argsort(-gain)].T:
        if all(DIFFERENT < np.abs(side - other).mean() < 1.0 - DIFFERENT for other in chosen):
            chosen.append(side)
        if len(chosen) == BREAKS:
            break
    return chosen


def _standard(values: Array) -> Array:
    return np.asarray((values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9))
