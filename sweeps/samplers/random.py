"""Independent random points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from optuna.samplers import RandomSampler

from sweeps.samplers.base import Problem, Sampler

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@dataclass(frozen=True, kw_only=True)
class Random(Sampler):
    """Independent uniform draws: what any cleverer sampler must beat."""

    adaptive: ClassVar[bool] = False

    def build(self, problem: Problem) -> BaseSampler:
        """Return Optuna's random sampler."""
        return self.by_number(RandomSampler(seed=problem.seed), problem.seed)
