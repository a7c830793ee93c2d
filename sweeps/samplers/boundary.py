"""BoundarySampler: runs that tell most of the regime map's edges, beside those that are done or under way.

The score of a point is what a run there is expected to tell of all edges (`analysis.maps.edge_knowledge`), divided by a
low power of the steps the run will take: boundary-seeking alone picks dear runs, a high power only cheap ones. A
standing share of the runs is Sobol points whatever the map says: the only honest hold-out for calibration, and the
guard against regimes that nobody has met yet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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

LEVELS_APART: Final = 1e6
"""Factor on squared distances between levels of a choice."""


@dataclass(frozen=True, kw_only=True)
class Boundary(Sampler):
    """Seeks what tells most of the boundaries between regimes; about a third of its runs are Sobol points."""

    adaptive: ClassVar[bool] = True
    maps: ClassVar[bool] = True

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
        self._wave: _Wave | None = None

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
        if self._wave is not None:
            self._wave.take(proposed)
        return proposed

    def _proposals(self, number: int, space: Mapping[str, BaseDistribution]) -> Iterator[dict[str, Any]]:
        """Yield points for a trial, the best first."""
        if self.is_sobol(number):
            # Points that another sampler had, of this very sequence perhaps, are passed over: the rest is as even.
            begin = self._sobol_index(number)
            units = (self._sobol_point(index, len(space)) for index in range(begin, begin + CANDIDATES + number))
            yield from (_at(space, unit) for unit in units)
        elif self._wave is not None:
            # Where there is no map yet, the Sobol point of this number is kept for the slice.
            yield from self._wave.by_worth()
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
        """Begin a wave if runs were told since the last one."""
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(done) == self._told:
            return
        self._told = len(done)
        from analysis.models.cores import single_threaded  # half a second to import, and not before runs are told

        with single_threaded():
            self._wave = self._drawn(study, done, space)

    def _drawn(self, study: Study, done: Sequence[FrozenTrial], space: Mapping[str, BaseDistribution]) -> _Wave | None:
        """Return the wave that begins by the map of the trials that are `done`; none if there is none yet."""
        if self._search is None:
            self._search = SearchMap(self.rule, space, self._seed)
        told = [(trial.params, *times) for trial in done if (times := milestones_of(trial)) is not None]
        found = self._search.tell(told) if self._search.drawable else None
        if found is None:
            return None
        units = _sobol(len(space), np.random.default_rng([self._seed, len(done)]), CANDIDATES)
        wave = _Wave(found, [_at(space, unit) for unit in units], space, self.settings.cost_power)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if set(trial.params) >= set(space):
                wave.take(trial.params)
        return wave


class _Wave:
    """The candidates of a wave, and what a run at each is worth beside those that run already."""

    def __init__(
        self,
        regimes: RegimeMap,
        candidates: list[dict[str, Any]],
        space: Mapping[str, BaseDistribution],
        cost_power: float,
    ) -> None:
        self._candidates, self._regimes = candidates, regimes
        self._space = {name: space[name] for name in axes_of(space)}
        self._units = np.array([_units(self._space, candidate) for candidate in candidates])
        points = _within(regimes, pd.DataFrame(candidates)[list(self._space)])
        known = np.flatnonzero(regimes.has_runs_at(points))
        points = points.iloc[known]
        self._edges = [(known[rows], edges) for rows, edges in regimes.edge_knowledge(points)]
        # Nothing is known of a level without runs, not even what a run there takes.
        steps = np.full(len(candidates), float(regimes.rule.budget))
        if len(known):
            times = regimes.milestones(points)
            steps[known] = 10.0 ** times["t_mem_mean"].to_numpy() + 10.0 ** times["delay_mean"].to_numpy()
        self._cost = np.clip(steps, 1.0, regimes.rule.budget) ** cost_power
        self._taken = np.zeros(len(candidates), dtype=bool)
        self._unknown = np.setdiff1d(np.arange(len(candidates)), known)

    def by_worth(self) -> Iterator[dict[str, Any]]:
        """Yield the candidates, the best first."""
        worth = np.zeros(len(self._candidates))
        for rows, edges in self._edges:
            worth[rows] = edges.gains()
        # A run at a level that has none tells as much as any, and the next one there half as much.
        worth[self._unknown] = max(worth.max(), 1e-9) * 0.5 ** self._taken[self._unknown].sum()
        worth = np.where(self._taken, 0.0, worth / self._cost)
        for index in np.argsort(-worth, kind="stable"):
            yield self._candidates[index]

    def take(self, params: Mapping[str, Any]) -> None:
        """Count a run as known: as one at the nearest candidate of its level."""
        gaps = (self._units - _units(self._space, params)) ** 2
        apart = [isinstance(distribution, CategoricalDistribution) for distribution in self._space.values()]
        gaps[:, apart] *= LEVELS_APART
        index = int(np.argmin(gaps.sum(axis=1)))
        self._taken[index] = True
        for rows, edges in self._edges:
            if len(at := np.flatnonzero(rows == index)):
                edges.learn(int(at[0]))


def _sobol(dimensions: int, seed: int | np.random.Generator, size: int) -> npt.NDArray[np.float64]:
    """Return scrambled Sobol points, (size, dimensions)."""
    from scipy.stats import qmc  # a second to import, which a sweep that is complete does not need

    points: npt.NDArray[np.float64] = qmc.Sobol(dimensions, scramble=True, rng=seed).random(size)
    return points


def _at(space: Mapping[str, BaseDistribution], unit: npt.NDArray[np.float64]) -> dict[str, Any]:
    return {name: from_unit(d, float(u)) for (name, d), u in zip(space.items(), unit, strict=True)}


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
