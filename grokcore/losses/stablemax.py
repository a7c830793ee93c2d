"""StableMax: a softmax that grows linearly, and so does not collapse (Prieto et al. 2025, arXiv 2501.04697)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from grokcore.lazy_torch import torch
from grokcore.losses.base import Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class StableMax(Loss):
    """−log(s(z_y) / Σ_j s(z_j)) with s(z) = z + 1 for z ≥ 0 and 1 / (1 − z) below (Prieto et al. 2025).

    Grows linearly where softmax grows exponentially; here too the loss is log1p of the others' sum over the target's.
    """

    SOFTMAX: ClassVar[bool] = True

    @staticmethod
    def _scores(outputs: Tensor) -> Tensor:
        return torch.where(outputs < 0, 1 / (1 - outputs.clamp_max(0)), outputs + 1)

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """log1p(Σ_{j≠y} s_j / s_y)."""
        scores, index = self._scores(outputs), targets.unsqueeze(-1)
        own = scores.gather(-1, index).squeeze(-1)
        return torch.log1p(scores.scatter(-1, index, 0.0).sum(-1) / own)

    def gradient_(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """s'(z_j) / Σ s, and at the target −s'(z_y) · Σ_{j≠y} s_j / (s_y Σ s)."""
        scores, index = self._scores(outputs), targets.unsqueeze(-1)
        own = scores.gather(-1, index)
        others = scores.scatter(-1, index, 0.0).sum(-1, keepdim=True)
        total = others + own
        slopes = torch.where(outputs < 0, scores * scores, 1.0)
        at_target = -slopes.gather(-1, index) * (others / own) / total
        return (slopes / total).scatter_(-1, index, at_target).mul_(weights.unsqueeze(-1))
