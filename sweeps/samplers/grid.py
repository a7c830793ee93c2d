"""A regular grid: every combination of evenly spread values, once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler

from sweeps.new_points import KnownPoints, SpaceExhaustedError
from sweeps.samplers.base import Problem, Sampler

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial


@dataclass(frozen=True, kw_only=True)
class Grid(Sampler):
    """All combinations of the choices and of `points` values of each range, in a shuffled order."""

    adaptive: ClassVar[bool] = False

    points: Annotated[int, Ge(1)] = 8
    """Values along each range."""

    def build(self, problem: Problem) -> BaseSampler:
        """Return the sampler."""
        return GridSampler(problem.distributions, self._values(problem), seed=problem.seed)

    def misfits(self, problem: Problem) -> Iterator[str]:
        """Yield that more runs are asked for than the grid has."""
        size = math.prod(len(values) for values in self._values(problem).values())
        if problem.runs > size:
            yield f"runs = {problem.runs}: the grid has {size} points; ask for at most {size}, or raise points."

    def _values(self, problem: Problem) -> dict[str, Sequence[Any]]:
        return {name: dimension.grid(self.points) for name, dimension in problem.dimensions.items()}


class GridSampler(BaseSampler):
    """Gives trial n the n-th combination, none twice; shuffled: a sweep stopped half-way has looked everywhere."""

    def __init__(
        self, distributions: Mapping[str, BaseDistribution], values: Mapping[str, Sequence[Any]], *, seed: int
    ) -> None:
        self._distributions, self._known = dict(distributions), KnownPoints()
        combinations = list(itertools.product(*(values[name] for name in self._distributions)))
        order = np.random.default_rng(seed).permutation(len(combinations))
        self._combinations = [combinations[i] for i in order]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
        """Return the whole space."""
        return self._distributions

    def sample_relative(
        self,
        study: Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return combination number `trial.number`, or the next one that no trial has.

        Raises `SpaceExhaustedError` if there is none.
        """
        self._known.look(study, trial.number)
        size = len(self._combinations)
        for number in range(trial.number, trial.number + size):
            chosen = dict(zip(self._distributions, self._combinations[number % size], strict=True))
            if chosen not in self._known:
                return chosen
        raise SpaceExhaustedError(f"all {size:,} points of the grid are chosen; raise its points for more.")

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:  # noqa: ARG002
        """Refuse: a grid knows nothing of a parameter outside its space."""
        raise ValueError(f"{param_name!r} is not on the grid; its axes: {', '.join(self._distributions)}.")
