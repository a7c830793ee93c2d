"""Scrambled Sobol points: even coverage whatever the number of runs; the default."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import QMCSampler

from sweeps.samplers.base import Problem, Sampler

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial


@dataclass(frozen=True, kw_only=True)
class Sobol(Sampler):
    """A scrambled Sobol sequence; trial n gets point n, so a sweep that goes on goes on where it was."""

    adaptive: ClassVar[bool] = False

    def build(self, problem: Problem) -> BaseSampler:
        """Return the sampler."""
        return SobolSampler(problem.distributions, seed=problem.seed)


class SobolSampler(QMCSampler):
    """Optuna's QMC sampler, with the whole space known from the start and the point given by the trial's number.

    Optuna's own draws the first trial at random, and counts points in the study's attributes, which a study
    rebuilt from records does not have.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution], *, seed: int) -> None:
        with warnings.catch_warnings():
            # Optuna has called its QMC sampler experimental since 3.0; we hold what we need of it in a test.
            warnings.simplefilter("ignore", ExperimentalWarning)
            super().__init__(qmc_type="sobol", scramble=True, seed=seed)
        self._distributions = dict(sorted(distributions.items()))
        self._scrambled_by = seed
        self._points = np.empty((0, len(self._distributions)))
        self._number = 0

    @functools.cached_property
    def _engine(self) -> Any:
        from scipy.stats import qmc  # a second to import, which a sweep that is complete does not need

        return qmc.Sobol(len(self._distributions), scramble=True, rng=self._scrambled_by)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
        """Return the whole space, known since the start."""
        return self._distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return point number `trial.number`."""
        self._number = trial.number
        return super().sample_relative(study, trial, search_space)

    def _sample_qmc(self, study: Study, search_space: dict[str, BaseDistribution]) -> npt.NDArray[np.float64]:  # noqa: ARG002
        while self._number >= len(self._points):
            more = self._engine.random(max(256, len(self._points)))
            self._points = np.concatenate([self._points, more])
        return self._points[self._number : self._number + 1]
