"""The search for a change point: who lies beyond, told by nobody, such that a field with a step is likeliest.

Classification EM finds the nearest mode only, and most modes are wrong: a field whose hyperparameters were fitted
without the step is wiggly enough to explain any split half-way, and runs then stay where a first guess put them. First
guesses are made from places and values alone, and none needs to be right. Each settles with hyperparameters that are
held, where a field is too stiff to follow a cliff: runs on the wrong side stand out, and nothing is fitted: many
guesses can be tried. The likeliest splits, and those that are known from before, then settle with hyperparameters that
adapt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.special import log_expit, logit

from analysis.models.evidence import Trained, held, trained
from analysis.models.kernels import STEEP, Array, Prior
from analysis.models.likelihoods import LOGISTIC, Observations, log_chance, sided

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
FEWEST = 6
"""Runs on each side of a change point at least."""
TURNS = 8
"""Times that runs may change sides."""
STIFF_TURNS = 6
"""The same, where hyperparameters are held."""
PATIENCE = 2
"""Turns in a row that may bring nothing likelier."""
LIKELIEST = 3
"""Of each stiffness, the splits that go on."""
APART = 3
"""Runs by which these differ at least."""
FIRST_TURNS = 2
"""Turns that each of them gets with hyperparameters that adapt; the best `FINALISTS` go on."""
FINALISTS = 2
STIFF = (
    Prior(length=(1.0, 0.7), amplitude=(0.4, 0.8), noise=(0.2, 0.4)),
    Prior(noise=(0.3, 0.4)),
)
"""Hyperparameters, as medians, at which first guesses settle: long lengths, or noise at twice what seeds have."""


@dataclass(frozen=True)
class Split:
    """Observations on two sides of a step."""

    beyond: Array
    """(n,) one for each observation beyond the step, zero for the others."""
    smooth: Trained
    """The field, the step's height in it."""
    sides: Trained
    """The classifier of the sides."""

    @property
    def loss(self) -> float:
        """Return minus the log evidence of the field and of the sides."""
        return self.smooth.loss + self.sides.loss


Fit = Callable[[Observations, float, Prior, Array, Array | None], Trained]


def _adapting(seen: Observations, centre: float, prior: Prior, theta: Array, beyond: Array | None) -> Trained:
    return trained(seen, centre, prior, theta, beyond=beyond, turns=4)


class Way(NamedTuple):
    """How a split settles: in how many turns, with which hyperparameters, and where it need not go again."""

    turns: int = TURNS
    fit: Fit = _adapting
    met: set[bytes] | None = None
    """Splits that others came by, where all go the same way from there on."""


ADAPTING = Way()


def likeliest_split(seen: Observations, centre: float, whole: Trained, known: list[Array]) -> Split | None:
    """Return the likeliest split found, from first guesses and from splits that are `known`; None if none is to be had.

    `whole` is the field without a step.
    """
    guesses, side, briefly = first_guesses(seen), STEEP.centre(seen.points.shape[1]), Way(FIRST_TURNS)
    begun = [settled_split(seen, centre, whole.theta, side, beyond, briefly) for beyond in known]
    different: list[Array] = []
    for prior in STIFF:
        theta, stiffly = prior.centre(seen.points.shape[1]), Way(STIFF_TURNS, held, set())
        settled = [settled_split(seen, centre, theta, side, guess, stiffly) for guess in guesses]
        for split in sorted((split for split in settled if split is not None), key=_loss)[:LIKELIEST]:
            if all(_apart(split.beyond, other) > APART for other in different):
                different.append(split.beyond)
                begun.append(settled_split(seen, centre, theta, side, split.beyond, briefly))
    best = sorted((split for split in begun if split is not None), key=_loss)[:FINALISTS]
    last = [settled_split(seen, centre, each.smooth.theta, each.sides.theta, each.beyond) for each in best]
    return min((split for split in last if split is not None), key=_loss, default=None)


def settled_split(
    seen: Observations, centre: float, smooth: Array, side: Array, beyond: Array, way: Way = ADAPTING
) -> Split | None:
    """Return the likeliest split on the way from a first guess of who is beyond; None if one side runs empty.

    Told by others, a run at the edge may go to and fro for ever: the way ends where nothing moves or gets likelier, or
    where another one came by.
    """
    best: Split | None = None
    idle = 0
    for _ in range(way.turns):
        if not FEWEST <= beyond.sum() <= len(beyond) - FEWEST:
            break
        if way.met is not None:
            # The same split, whichever of its sides is called beyond.
            split_itself = (beyond != beyond[0]).tobytes()
            if split_itself in way.met:
                break
            way.met.add(split_itself)
        field = way.fit(seen, centre, Prior(), smooth, beyond)
        sides = way.fit(sided(seen.points, beyond > 0.5), middle(beyond), STEEP, side, None)
        smooth, side = field.theta, sides.theta
        split = Split(beyond, field, sides)
        best, idle = (split, 0) if best is None or split.loss < best.loss else (best, idle + 1)
        leaning = sides.mean / np.sqrt(1.0 + LOGISTIC * sides.variance)
        below = field.mean - field.height * beyond
        noise = float(np.exp(smooth[-1]))
        here, there = (log_chance(seen, below + shift, field.variance, noise) for shift in (0.0, field.height))
        moved = np.asarray(there + log_expit(leaning) > here + log_expit(-leaning), dtype=float)
        if (moved == beyond).all() or idle == PATIENCE:
            break
        beyond = moved
    return best


def middle(beyond: Array) -> float:
    """Return the level about which the latent of the sides is modelled."""
    return float(logit((beyond.sum() + 0.5) / (len(beyond) + 1.0)))


def _apart(first: Array, second: Array) -> float:
    """Return by how many runs two splits differ, whichever side is called beyond."""
    gap = float(np.abs(first - second).sum())
    return min(gap, len(first) - gap)


def _loss(split: Split) -> float:
    return split.loss


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
