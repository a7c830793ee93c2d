"""What the plain cross-entropies share: torch's log-softmax after a cast to one precision."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from grokcore.lazy_torch import torch
from grokcore.losses.base import LOSSES, Loss
from grokcore.models.base import Model

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class PlainCrossEntropy(Loss, abc.ABC):
    """Softmax cross-entropy as torch computes it, after a cast: p − 1 at the target."""

    SOFTMAX: ClassVar[bool] = True
    PRECISION: ClassVar[torch.dtype]
    """What outputs are cast to."""

    def misfits(self, model: Model, dtype: str) -> Iterator[str]:
        """Yield that a cast says nothing about a network in float64."""
        yield from super().misfits(model, dtype)
        if dtype == "float64":
            name = LOSSES.name_of(self)
            yield f'loss = "{name}": is for dtype = "float32"; in float64 take "cross_entropy", which is exact.'

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """−log softmax at the target."""
        logs = outputs.to(self.PRECISION).log_softmax(-1)
        return -logs.gather(-1, targets.unsqueeze(-1)).squeeze(-1).to(outputs.dtype)

    def gradient_(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Softmax minus one-hot."""
        p = outputs.to(self.PRECISION).log_softmax(-1).exp_()
        index = targets.unsqueeze(-1)
        p.scatter_(-1, index, p.gather(-1, index) - 1.0)
        return p.mul_(weights.unsqueeze(-1)).to(outputs.dtype)
