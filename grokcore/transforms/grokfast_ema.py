"""Grokfast-EMA: amplifies the slow part of the gradient by a moving average (Lee et al. 2024, arXiv 2405.20233)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Lt

from grokcore.config.per_run import Settings
from grokcore.lazy_torch import torch
from grokcore.transforms.base import Transform, Weights

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class GrokfastEma(Transform):
    """h ← keep · h + (1 − keep) g, from h = g at the first step; g ← g + gain · h (their algorithm 2)."""

    keep: Annotated[float, Ge(0), Lt(1)] = 0.98
    """Momentum α of the average; .98 for modular arithmetic."""
    gain: Annotated[float, Ge(0)] = 2.0
    """Amplification λ; 2 for modular arithmetic."""

    def state(self, flat: Tensor) -> dict[str, Tensor]:
        """Return the average, not yet begun."""
        return {"slow": torch.zeros_like(flat)}

    def coefficients(self, settings: Settings, steps: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
        """Return the weight of the new gradient in the average, 1 at the first step."""
        fresh = np.where(steps[:, None] == 0, 1.0, 1.0 - settings["keep"])
        return {"fresh": fresh, "gain": settings["gain"] * np.ones_like(fresh)}

    def change_gradient(self, weights: Weights, at: Mapping[str, Tensor]) -> None:
        """Add the amplified average."""
        slow = weights.state["slow"].lerp_(weights.gradient, at["fresh"])
        weights.gradient.addcmul_(slow, at["gain"])
