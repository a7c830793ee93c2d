"""A Gaussian process with change points: a smooth field, and steps wherever a classifier puts a point beyond.

Real diagrams have cliffs, which a smooth field smears. With one change point a run's value is

    y_i = g(x_i) + h z_i + noise,    P(z_i = 1 | x_i) = σ(s(x_i)),

with g and s Gaussian processes, the height h ~ N(0, STEP²), and the side z_i not told. It is found by classification
EM (Celeux and Govaert 1992), which alternates between

    M: given the sides, the hyperparameters of g and h of highest evidence, and those of s as a classifier of the sides;
    E: each run goes to the side z that makes log p(y_i | z) + log P(z | x_i) largest, where both are told by all other
       runs (the cavity): told by itself too, every run would be at home where it was put.

Turns raise the evidence of both, until no run moves or nothing gets likelier. EM finds the nearest mode only:
`analysis.models.split_search` says where it begins. A change point is believed if the log evidence, of field and sides
together, gains more than `PRICE`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_ndtr, ndtr

from analysis.models.evidence import Trained, spread_rows, thinned, train, trained
from analysis.models.gaussian_process import Posterior
from analysis.models.kernels import STEEP, Array, Prior
from analysis.models.likelihoods import Observations, log_chance, sided
from analysis.models.split_search import FEWEST, Split, likeliest_split, middle, settled_split

PRICE = 8.0
"""Log odds against a change point, which its gain in evidence must exceed."""
MOST = 2
"""Change points of one process at most."""
SEARCHED = 100
"""Rows, spread over the box, among which a change point is looked for."""
ADAPTED_TURNS = 6
"""Steps in which hyperparameters adapt to almost the same observations."""


class Step(NamedTuple):
    """A change point at n points: how high its step, and the latent of the side, positive beyond."""

    height: float
    mean: Array
    variance: Array


class PiecewisePosterior(NamedTuple):
    """Posterior at n points: the smooth field's mean and variance, seed noise, and the change points."""

    mean: Array
    variance: Array
    noise: float
    steps: tuple[Step, ...] = ()

    def parts(self, *, noise: bool = True) -> Iterator[tuple[Array, Array, Array]]:
        """Yield weight, mean and standard deviation of each normal that a time is a mixture of.

        With `noise` for a run with a new seed, else for the median run.
        """
        spread = np.sqrt(self.variance + (self.noise**2 if noise else 0.0))
        if not any(step.variance.any() for step in self.steps):
            # In a draw, and where nothing jumps, every point has its side.
            yield np.ones(len(self.mean)), self.median, spread
            return
        chances = [ndtr(step.mean / np.sqrt(np.maximum(step.variance, 1e-12))) for step in self.steps]
        for beyond in itertools.product((False, True), repeat=len(self.steps)):
            weight, shift = np.ones(len(self.mean)), 0.0
            for step, chance, there in zip(self.steps, chances, beyond, strict=True):
                weight = weight * (chance if there else 1.0 - chance)
                shift += step.height * there
            yield weight, self.mean + shift, spread

    def drawn(self, normals: Array) -> PiecewisePosterior:
        """Return a draw of what is not known of the median run's latent, at one standard normal per unknown."""
        steps = tuple(
            Step(step.height, step.mean + z * np.sqrt(step.variance), np.zeros_like(step.mean))
            for step, z in zip(self.steps, normals[1:], strict=True)
        )
        return PiecewisePosterior(
            self.mean + normals[0] * np.sqrt(self.variance), np.zeros_like(self.mean), self.noise, steps
        )

    @property
    def median(self) -> Array:
        """Return the likeliest side's mean."""
        return self.mean + sum((step.height * (step.mean > 0) for step in self.steps), np.zeros(1))


@dataclass(frozen=True)
class ChangePoint:
    """A change point: how high its step is, and the process of the side, positive beyond."""

    height: float
    side: Posterior
    sureness: float
    """Factor of the latent's mean that makes its sides as sure as they are right of runs left out."""

    def at(self, points: Array) -> Step:
        """Return the step at feature rows."""
        mean, variance = self.side.predict(points)
        return Step(self.height, self.sureness * mean, variance)


@dataclass(frozen=True)
class PiecewiseProcess:
    """A fitted smooth field with its change points."""

    smooth: Posterior
    change_points: tuple[ChangePoint, ...] = ()

    @classmethod
    def fit(cls, seen: Observations, centre: float, start: Self | None = None) -> Self:
        """Fit to observations; hyperparameters are searched from those of `start`, change points anew."""
        prior, rows = Prior(), thinned(seen)
        theta = start.smooth.theta if start is not None else prior.centre(seen.points.shape[1])
        if len(rows.low) < 2:
            return cls(Posterior(seen, theta, centre, prior))
        # What was found before is one more guess: a change point is not lost unless another is likelier, or none.
        known = start.sides(rows) if start is not None else []
        fields, left, gains = [trained(rows, centre, prior, theta)], [rows], [0.0]
        found: list[Split] = []
        while len(found) < MOST and (split := _found(left[-1], centre, fields[-1], known)) is not None:
            found.append(split)
            gains.append(gains[-1] + fields[-1].loss - split.loss - PRICE)
            left.append(_shifted(left[-1], split.smooth.height * split.beyond))
            fields.append(trained(left[-1], centre, prior, split.smooth.theta))
        # The first of two stairs may not be worth its price before the second is known: both are judged together.
        believed = int(np.argmax(gains))
        points = tuple(_change_point(each, rows) for each in found[:believed])
        fitted = cls(Posterior(left[believed], fields[believed].theta, centre, prior), points)
        return fitted if rows is seen else fitted.refitted(seen, centre)

    @classmethod
    def smoothly(cls, seen: Observations, centre: float) -> Self:
        """Fit a smooth field alone; change points, for which many fields are fitted, are not looked for."""
        return cls(Posterior(seen, train(seen, centre, Prior()), centre, Prior()))

    def refitted(self, seen: Observations, centre: float) -> Self:
        """Return the same change points and hyperparameters with other observations, each on its likeliest side."""
        sides, points = self.sides(seen), []
        for point, beyond in zip(self.change_points, sides, strict=True):
            own = sided(seen.points, beyond > 0.5)
            points.append(replace(point, side=Posterior(own, point.side.theta, middle(beyond), STEEP)))
        shift = _shift(self.change_points, sides)
        smooth = Posterior(_shifted(seen, shift), self.smooth.theta, centre, Prior())
        return type(self)(smooth, tuple(points))

    def adapted(self, seen: Observations, centre: float) -> Self:
        """Return the same change points with almost the same observations, the smooth field's hyperparameters adapted.

        So are the milestones of the same runs at another threshold.
        """
        again = self.refitted(seen, centre)
        if len(seen.low) < 2:
            return again
        left = _shifted(seen, _shift(again.change_points, again.sides(seen)))
        theta = trained(thinned(left), centre, Prior(), self.smooth.theta, turns=ADAPTED_TURNS).theta
        return replace(again, smooth=Posterior(left, theta, centre, Prior()))

    def sides(self, seen: Observations) -> list[Array]:
        """Return, per change point, which observations (1) lie beyond it, by where they are and what they say."""
        if not self.change_points:
            return []
        level = self.predict(seen.points)
        ways = list(itertools.product((0.0, 1.0), repeat=len(self.change_points)))
        scores = [
            log_chance(seen, mean, level.variance, self.noise) + np.log(np.maximum(weight, 1e-300))
            for weight, mean, _ in level.parts()
        ]
        return list(np.array(ways)[np.argmax(scores, axis=0)].T)

    @property
    def noise(self) -> float:
        """Return the standard deviation of the noise."""
        return self.smooth.noise

    def predict(self, points: Array) -> PiecewisePosterior:
        """Return the latent's posterior at rows of `points`."""
        steps = tuple(point.at(points) for point in self.change_points)
        return PiecewisePosterior(*self.smooth.predict(points), self.noise, steps)


def _found(seen: Observations, centre: float, whole: Trained, known: list[Array]) -> Split | None:
    """Return the best split of observations in two, its price aside, or None if one smooth field is likelier."""
    rows = np.arange(len(seen.low))
    if len(rows) < 2 * FEWEST:
        return None
    if len(rows) <= SEARCHED:
        found = likeliest_split(seen, centre, whole, known)
        return found if found is not None and found.loss < whole.loss else None
    rows = spread_rows(seen.points, SEARCHED)
    some = seen.rows(rows)
    whole_of_some = trained(some, centre, Prior(), whole.theta, turns=10)
    found = likeliest_split(some, centre, whole_of_some, [beyond[rows] for beyond in known])
    if found is None or found.loss >= whole_of_some.loss:
        return None
    field = Posterior(_shifted(some, found.smooth.height * found.beyond), found.smooth.theta, centre, Prior())
    fitted = PiecewiseProcess(field, (_change_point(found, some),))
    found = settled_split(seen, centre, found.smooth.theta, found.sides.theta, fitted.sides(seen)[0])
    return found if found is not None and found.loss < whole.loss else None


def _change_point(split: Split, seen: Observations) -> ChangePoint:
    """Return the change point of a split of the observations."""
    side = Posterior(sided(seen.points, split.beyond > 0.5), split.sides.theta, middle(split.beyond), STEEP)
    margin = (2.0 * split.beyond - 1.0) * split.sides.mean / np.sqrt(split.sides.variance)

    def loss(log_factor: float) -> float:
        return float(0.5 * log_factor**2 - log_ndtr(np.exp(log_factor) * margin).sum())

    sureness = float(np.exp(minimize_scalar(loss, bounds=(-1.5, 2.5), method="bounded").x))
    return ChangePoint(split.smooth.height, side, sureness)


def _shift(points: tuple[ChangePoint, ...], sides: list[Array]) -> Array:
    """Return by how much the change points move each observation."""
    return sum((point.height * beyond for point, beyond in zip(points, sides, strict=True)), np.zeros(1))


def _shifted(seen: Observations, by: Array) -> Observations:
    return replace(seen, low=seen.low - by, high=seen.high - by)
