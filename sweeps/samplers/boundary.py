"""BoundarySampler: runs where the regime map is least sure, which is where one regime becomes another.

The score of a point is the entropy of the regimes that an equal pool of the map's models gives it, divided by a low
power of the steps the run will take: boundary-seeking alone picks dear runs, a high power only cheap ones. A standing
share of the runs is Sobol points whatever the map says: the only honest hold-out for calibration, and the guard
against regimes that nobody has met yet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from annotated_types import Ge, Le
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import TrialState

from grokcore.records.regimes import RegimeRule
from sweeps.new_points import KnownPoints, anywhere, from_unit
from sweeps.samplers.base import Problem, Sampler
from sweeps.search_map import SearchMap, axes_of
from sweeps.study import milestones_of

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from analysis.maps.regime_map import RegimeMap

CANDIDATES: Final = 1024
"""Points among which each wave is chosen."""

SPREAD: Final = 0.5
"""Radius around a chosen point in which others count less, in units of the runs' mean distance."""


@dataclass(frozen=True, kw_only=True)
class Boundary(Sampler):
    """Seeks the boundaries between regimes; about a third of its runs are Sobol points."""

    adaptive: ClassVar[bool] = True

    startup: Annotated[int, Ge(8)] = 32
    """Sobol points before the map is trusted."""
    sobol: Annotated[float, Ge(0), Le(1)] = 0.35
    """Share of Sobol points afterwards; 0.25 to 0.5 is sound."""
    cost_power: Annotated[float, Ge(0), Le(1)] = 0.25
    """Power of the expected steps by which a point's score is divided; above 0.25 it piles up cheap runs."""

    def build(self, problem: Problem) -> BaseSampler:
        """Return the sampler."""
        return BoundarySampler(
            problem.rule, seed=problem.seed, settings=self, distributions=dict(problem.distributions)
        )


class BoundarySampler(BaseSampler):
    """An Optuna sampler for regime maps; works with any oracle whose milestones are told by `tell_milestones`.

    Asks between two tells form a wave: they share one map and keep away from each other. Choices that are not numbers
    are categories of the map, and runs are sought at each of their levels; one called `seed` is drawn evenly. The space
    must be the same for all trials; ask with ``study.ask(distributions)``.

    >>> import optuna
    >>> from sweeps import RegimeRule, tell_milestones
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> study = optuna.create_study(sampler=BoundarySampler(RegimeRule(budget=1000, ratio=5)))
    >>> space = {"fraction": optuna.distributions.FloatDistribution(0.2, 0.9)}
    >>> for _ in range(12):
    ...     trial = study.ask(space)
    ...     late = trial.params["fraction"] < 0.4
    ...     _ = tell_milestones(study, trial, t_mem=(50, True), t_gen=(1000 if late else 300, not late), budget=1000)
    >>> len(study.trials)
    12
    """

    def __init__(
        self,
        rule: RegimeRule,
        *,
        seed: int = 0,
        settings: Boundary | None = None,
        distributions: Mapping[str, BaseDistribution] | None = None,
    ) -> None:
        self.rule, self.settings = rule, settings or Boundary()
        self._seed = seed
        self._space = dict(sorted(distributions.items())) if distributions else None
        self._independent = RandomSampler(seed=seed)
        self._points: npt.NDArray[np.float64] = np.empty((0, 0))
        self._search: SearchMap | None = None
        self._told = -1
        self._known = KnownPoints()
        self._candidates: npt.NDArray[np.float64] = np.empty((0, 0))
        self._scores: npt.NDArray[np.float64] = np.empty(0)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the space: as given, or that of the first trial that has one."""
        if self._space is None:
            for other in study.get_trials(deepcopy=False):
                if other.distributions and other.number != trial.number:
                    self._space = dict(sorted(other.distributions.items()))
                    break
        return self._space or {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw at random: only for the very first trial of a study whose space is not known yet."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the next point, one that no trial has: a Sobol point, or the best candidate of the wave."""
        if not search_space:
            return {}
        if not self.is_sobol(trial.number):
            self._look(study, search_space)
        self._known.look(study, trial.number)
        proposed: dict[str, Any] = {}
        for proposed in self._proposals(trial.number, search_space):
            if proposed not in self._known:
                break
        self._avoid(_units(search_space, proposed), search_space)
        return proposed

    def _proposals(self, number: int, space: Mapping[str, BaseDistribution]) -> Iterator[dict[str, Any]]:
        """Yield points for a trial, the best first."""
        if self.is_sobol(number):
            # Points that another sampler had, of this very sequence perhaps, are passed over: the rest is as even.
            begin = self._sobol_index(number)
            units = (self._sobol_point(index, len(space)) for index in range(begin, begin + CANDIDATES + number))
        else:
            # Where there is no map yet, the Sobol point of this number is kept for the slice.
            units = (self._candidates[i] for i in np.argsort(-self._scores, kind="stable"))
        for unit in units:
            yield {name: from_unit(d, float(u)) for (name, d), u in zip(space.items(), unit, strict=True)}
        yield from anywhere(space, np.random.default_rng([self._seed, number]))

    def is_sobol(self, number: int) -> bool:
        """Say whether trial `number` is a Sobol point whatever the map says: a member of the honest hold-out."""
        return number < self.settings.startup or self._sobol_index(number + 1) > self._sobol_index(number)

    def _sobol_index(self, number: int) -> int:
        """Return how many of the trials before `number` were Sobol points."""
        start = self.settings.startup
        return number if number <= start else start + math.floor((number - start) * self.settings.sobol)

    def _sobol_point(self, index: int, dimensions: int) -> npt.NDArray[np.float64]:
        if index >= len(self._points):
            size = 2 ** math.ceil(math.log2(index + 256))
            self._points = _sobol(dimensions, self._seed, size)
        return np.asarray(self._points[index])

    def _look(self, study: Study, space: Mapping[str, BaseDistribution]) -> None:
        """Score a wave's candidates if runs were told since the last time."""
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(done) == self._told:
            return
        self._told = len(done)
        if self._search is None:
            self._search = SearchMap(self.rule, space, self._seed)
        told = [(trial.params, *times) for trial in done if (times := milestones_of(trial)) is not None]
        found = self._search.tell(told) if self._search.drawable else None
        if found is None:
            self._scores = np.empty(0)
            return
        rng = np.random.default_rng([self._seed, len(done)])
        self._candidates = _sobol(len(space), rng, CANDIDATES)
        values = {
            name: [from_unit(distribution, float(u)) for u in self._candidates[:, i]]
            for i, (name, distribution) in enumerate(space.items())
        }
        points = pd.DataFrame({name: values[name] for name in self._search.axes})
        self._scores = self._score(found, _within(found, points))
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in running:
            if set(trial.params) >= set(space):
                self._avoid(_units(space, trial.params), space)

    def _score(self, regimes: RegimeMap, points: pd.DataFrame) -> npt.NDArray[np.float64]:
        from analysis.models.ensemble import POOLED

        known = regimes.has_runs_at(points)
        points = points[known]
        chances = np.mean([regimes.member_probabilities(name, points).to_numpy() for name in POOLED], axis=0)
        # Nothing is known of a level without runs, not even what a run there takes.
        entropy, steps = np.full(len(known), np.log(4.0)), np.full(len(known), float(self.rule.budget))
        entropy[known] = -(chances * np.log(np.maximum(chances, 1e-12))).sum(axis=1)
        times = regimes.milestones(points)
        generalises = 10.0 ** times["t_mem_mean"].to_numpy() + 10.0 ** times["delay_mean"].to_numpy()
        steps[known] = np.minimum(generalises, self.rule.budget)
        return np.asarray((entropy + 1e-6) / np.maximum(steps, 1.0) ** self.settings.cost_power)

    def _avoid(self, unit: npt.NDArray[np.float64], space: Mapping[str, BaseDistribution]) -> None:
        """Let candidates near a point that is being run count less."""
        if not len(self._scores):
            return
        axes = [i for i, name in enumerate(space) if name in axes_of(space)]
        radius = SPREAD * max(self._told, 8) ** (-1.0 / len(axes))
        gap = ((self._candidates[:, axes] - unit[axes]) ** 2).sum(axis=1)
        self._scores = self._scores * (1.0 - np.exp(-gap / (2 * radius**2)))


def _sobol(dimensions: int, seed: int | np.random.Generator, size: int) -> npt.NDArray[np.float64]:
    """Return scrambled Sobol points, (size, dimensions)."""
    from scipy.stats import qmc  # a second to import, which a sweep that is complete does not need

    points: npt.NDArray[np.float64] = qmc.Sobol(dimensions, scramble=True, rng=seed).random(size)
    return points


def _within(regimes: RegimeMap, points: pd.DataFrame) -> pd.DataFrame:
    """Return the points moved into the box of the runs, outside which the map says nothing."""
    return points.assign(**{axis.name: points[axis.name].clip(axis.low, axis.high) for axis in regimes.axes})


def _units(space: Mapping[str, BaseDistribution], params: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    return np.array([_to_unit(distribution, params[name]) for name, distribution in space.items()])


def _to_unit(distribution: BaseDistribution, param: Any) -> float:
    """Return the coordinate of a parameter; the inverse of `from_unit`, up to rounding."""
    if isinstance(distribution, CategoricalDistribution):
        return (distribution.choices.index(param) + 0.5) / len(distribution.choices)
    low, high = float(distribution.low), float(distribution.high)  # type: ignore[attr-defined]
    if high == low:
        return 0.5
    if distribution.log:  # type: ignore[attr-defined]
        return math.log(param / low) / math.log(high / low)
    return float((param - low) / (high - low))
