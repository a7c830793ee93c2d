"""Corners: random corners of the space, where a rule's extremes show first."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from optuna.samplers import BaseSampler

from sweeps.samplers.base import Sampler


class CornerSampler(BaseSampler):
    """Gives every number the lower or the upper end of its range, by a generator of its own."""

    def __init__(self, seed):
        self._generator = np.random.default_rng(seed)

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, param_name, param_distribution):
        if hasattr(param_distribution, "choices"):
            return param_distribution.choices[int(self._generator.integers(len(param_distribution.choices)))]
        return (param_distribution.low, param_distribution.high)[int(self._generator.integers(2))]


@dataclass(frozen=True, kw_only=True)
class Corners(Sampler):
    """Independent corners."""

    adaptive: ClassVar[bool] = False

    def build(self, problem):
        return CornerSampler(problem.seed)
