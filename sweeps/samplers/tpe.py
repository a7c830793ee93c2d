"""Tree-structured Parzen estimator: seeks runs that generalise soon, not the boundaries between regimes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler

from sweeps.samplers.base import Problem, Sampler

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@dataclass(frozen=True, kw_only=True)
class Tpe(Sampler):
    """Bergstra et al. 2011, as Optuna has it: multivariate, with a constant liar for runs not finished yet."""

    adaptive: ClassVar[bool] = True

    startup: Annotated[int, Ge(1)] = 32
    """Runs chosen at random before the estimator is used."""

    def build(self, problem: Problem) -> BaseSampler:
        """Return Optuna's TPE sampler."""
        with warnings.catch_warnings():
            # Both options have been experimental to Optuna since 2.2 and 2.8.
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler = TPESampler(
                seed=problem.seed, n_startup_trials=self.startup, multivariate=True, constant_liar=True
            )
        return self.by_number(sampler, problem.seed)
