"""AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101), as torch.optim.AdamW."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from grokcore.config.per_run import Settings
from grokcore.optimizers._moments import MomentOptimizer, move_by_moments_
from grokcore.optimizers.base import Floats, decayed_, scheduled_decay, scheduled_rate

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class AdamW(MomentOptimizer):
    """θ ← (1 − rate · decay) θ − rate · m̂ / (√v̂ + eps)."""

    @classmethod
    def coefficients(cls, settings: Settings, steps: npt.NDArray[np.int64]) -> dict[str, Floats]:
        """Bias corrections and scheduled rates, worked out in float64."""
        keep = 1.0 - scheduled_rate(settings, steps) * scheduled_decay(settings, steps)
        return {"keep": keep, **cls.moment_coefficients(settings, steps)}

    @classmethod
    def update(cls, flat: Tensor, gradient: Tensor, state: Mapping[str, Tensor], at: Mapping[str, Tensor]) -> None:
        """One pass over the flat vectors, or eight elementwise operations."""
        if "origin" in state:
            decayed_(flat, state, at["keep"])
        move_by_moments_(flat, gradient, state, at, None if "origin" in state else at["keep"])
