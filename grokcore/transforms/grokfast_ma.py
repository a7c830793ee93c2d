"""Grokfast-MA: amplifies the slow part of the gradient by a windowed mean (Lee et al. 2024, arXiv 2405.20233)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from annotated_types import Ge

from grokcore.config.per_run import Settings
from grokcore.lazy_torch import torch
from grokcore.transforms.base import Transform, Weights

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class GrokfastMa(Transform):
    """g ← g + gain · mean of the last `window` gradients, once there are so many (their algorithm 1)."""

    SHARED: ClassVar[frozenset[str]] = frozenset({"window"})

    window: Annotated[int, Ge(1)] = 100
    """Gradients in the mean; 100 for modular arithmetic. Each is kept, so a run takes that many times its weights."""
    gain: Annotated[float, Ge(0)] = 5.0
    """Amplification λ; 5 for modular arithmetic."""

    def state(self, flat: Tensor) -> dict[str, Tensor]:
        """Return the last gradients, and their sum in float64 so that adding and taking away leaves no trace."""
        last = torch.zeros(len(flat), self.window, flat.shape[1], dtype=flat.dtype, device=flat.device)
        return {"last": last, "sum": torch.zeros_like(flat, dtype=torch.float64)}

    def coefficients(self, settings: Settings, steps: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
        """Return the gain, none while the window fills, and where in the window a step's gradient belongs."""
        full = (steps + 1 >= self.window)[:, None]
        return {"gain": settings["gain"] * full, "slot": (steps % self.window)[:, None].astype(float)}

    def change_gradient(self, weights: Weights, at: Mapping[str, Tensor]) -> None:
        """Let the oldest gradient go, take the new one in, add the amplified mean."""
        total, last = weights.state["sum"], weights.state["last"]
        slot = at["slot"].long().unsqueeze(2).expand(len(last), 1, last.shape[2])
        total.sub_(last.gather(1, slot).squeeze(1)).add_(weights.gradient)
        last.scatter_(1, slot, weights.gradient.unsqueeze(1))
        weights.gradient.addcmul_((total / self.window).to(weights.gradient.dtype), at["gain"])
