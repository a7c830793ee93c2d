"""Adam with L2 regularisation (Kingma & Ba 2015, arXiv 1412.6980), as torch.optim.Adam with weight_decay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from grokcore.config.per_run import Settings
from grokcore.optimizers._moments import MomentOptimizer, move_by_moments_
from grokcore.optimizers.base import Floats, pulled_, scheduled_decay

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Adam(MomentOptimizer):
    """g ← ∇L + decay · θ; θ ← θ − rate · m̂ / (√v̂ + eps). The decay goes through the moments, unlike AdamW's."""

    @classmethod
    def coefficients(cls, settings: Settings, steps: npt.NDArray[np.int64]) -> dict[str, Floats]:
        """Bias corrections, scheduled rates and decays, worked out in float64."""
        return {"decay": scheduled_decay(settings, steps), **cls.moment_coefficients(settings, steps)}

    @classmethod
    def update(cls, flat: Tensor, gradient: Tensor, state: Mapping[str, Tensor], at: Mapping[str, Tensor]) -> None:
        """One pass over the flat vectors after the decay's, or seven elementwise operations."""
        pulled_(gradient, flat, state, at["decay"])
        move_by_moments_(flat, gradient, state, at)
