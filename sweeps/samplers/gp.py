"""Gaussian process: seeks runs that generalise soon, with a smooth model of the time to generalise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge
from optuna.samplers import GPSampler

from sweeps.samplers.base import Problem, Sampler

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial

MOST_RUNS = 500
"""Beyond this many runs one choice takes seconds (0.6 s at 400 runs, 3.7 s at 800)."""


@dataclass(frozen=True, kw_only=True)
class Gp(Sampler):
    """Optuna's Gaussian-process sampler; for at most `MOST_RUNS` runs."""

    adaptive: ClassVar[bool] = True

    startup: Annotated[int, Ge(1)] = 16
    """Runs chosen at random before the process is fitted."""

    def build(self, problem: Problem) -> BaseSampler:
        """Return Optuna's GP sampler."""
        return self.by_number(AnewGPSampler(seed=problem.seed, n_startup_trials=self.startup), problem.seed)

    def misfits(self, problem: Problem) -> Iterator[str]:
        """Yield that there are too many runs for it."""
        if problem.runs > MOST_RUNS:
            yield f"runs = {problem.runs}: the gp sampler is for at most {MOST_RUNS}; take sobol, tpe or boundary."


class AnewGPSampler(GPSampler):
    """Optuna's sampler, which fits its process from the same beginning each time.

    Its own begins where the fit before ended, and so chooses otherwise once a sweep was stopped and goes on.
    """

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the next point."""
        self._gprs_cache_list = None
        return super().sample_relative(study, trial, search_space)
