"""Hinge: a margin of 1 between the target and its strongest rival."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.losses.base import Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Hinge(Loss):
    """max(0, 1 + max_{j≠y} z_j − z_y) (Crammer & Singer 2001).

    For two classes it is Merrill et al.'s max(0, 1 − f·y) with f = z_1 − z_0 and y = ±1 (2023, arXiv 2303.11873).
    """

    @staticmethod
    def _rival(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        index = targets.unsqueeze(-1)
        rival, place = outputs.scatter(-1, index, -math.inf).max(-1, keepdim=True)
        return (1 + rival - outputs.gather(-1, index)), place

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the margin that is missing."""
        missing, _ = self._rival(outputs, targets)
        return missing.squeeze(-1).clamp_min(0)

    def gradient_(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """+1 at the rival and −1 at the target where a margin is missing; NaN where the outputs are."""
        missing, place = self._rival(outputs, targets)
        push = torch.where(missing > 0, weights.unsqueeze(-1), torch.where(missing.isnan(), missing, 0.0))
        return torch.zeros_like(outputs).scatter_(-1, place, push).scatter_(-1, targets.unsqueeze(-1), -push)
