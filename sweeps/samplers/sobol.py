"""Scrambled Sobol points: even coverage whatever the number of runs; the default."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from optuna.samplers import BaseSampler

from sweeps.new_points import from_unit
from sweeps.samplers.base import Problem, Sampler

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial


@dataclass(frozen=True, kw_only=True)
class Sobol(Sampler):
    """A scrambled Sobol sequence; trial n gets point n, so a sweep that goes on goes on where it was."""

    adaptive: ClassVar[bool] = False

    def build(self, problem: Problem) -> BaseSampler:
        """Return the sampler."""
        return SobolSampler(problem.distributions, seed=problem.seed)


class SobolSampler(BaseSampler):
    """Scrambled Sobol points of the whole space, which is known from the start; a trial's number gives its point.

    Optuna's own, which is experimental, draws the first trial at random, counts points in the study's attributes, which
    a study rebuilt from records does not have, and looks at the space anew for every point.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution], *, seed: int) -> None:
        self._distributions = dict(sorted(distributions.items()))
        self._scrambled_by = seed
        self._points = np.empty((0, len(self._distributions)))

    @functools.cached_property
    def _engine(self) -> Any:
        from scipy.stats import qmc  # a second to import, which a sweep that is complete does not need

        return qmc.Sobol(len(self._distributions), scramble=True, rng=self._scrambled_by)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
        """Return the whole space, known since the start."""
        return self._distributions

    def sample_relative(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """Return point number `trial.number`."""
        while trial.number >= len(self._points):
            more = self._engine.random(max(256, len(self._points)))
            self._points = np.concatenate([self._points, more])
        units = self._points[trial.number].tolist()
        return {name: from_unit(d, u) for (name, d), u in zip(search_space.items(), units, strict=True)}

    def sample_independent(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return a random value of a parameter that is not in the space, drawn by its name and the trial's number."""
        drawn = np.random.default_rng([self._scrambled_by, trial.number, *param_name.encode()])
        return from_unit(param_distribution, float(drawn.random()))
