"""Mean squares on softmax: the squared distance of the outputs' softmax to the class's one-hot row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from grokcore.losses.base import Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class MeanSquaresOfSoftmax(Loss):
    """Mean over the classes of (softmax(z) − one-hot)², torch.nn.MSELoss of torch.softmax; "mse" takes raw outputs.

    The target's difference is minus the sum of the others' chances, which keeps its relative precision near 1.
    """

    SOFTMAX: ClassVar[bool] = True

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean of squares."""
        chances = outputs.softmax(-1)
        return _differences(chances, targets).square().mean(-1)

    def gradient_(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """2 / C · p_j (d_j − Σ_i d_i p_i), with d the differences."""
        chances = outputs.softmax(-1)
        differences = _differences(chances, targets)
        mean = (differences * chances).sum(-1, keepdim=True)
        gradient = differences.sub_(mean).mul_(chances)
        return gradient.mul_(2.0 / outputs.shape[-1]).mul_(weights.unsqueeze(-1))


def _differences(chances: Tensor, targets: Tensor) -> Tensor:
    """Return softmax less one-hot."""
    index = targets.unsqueeze(-1)
    others = chances.scatter(-1, index, 0.0)
    return others.scatter(-1, index, -others.sum(-1, keepdim=True))
