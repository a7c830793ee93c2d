"""Cross-entropy of a softmax, exact however small it is.

In float32, log-softmax rounds a small loss to zero and the gradient at the target, p_y − 1, with it ("softmax
collapse", Prieto et al. 2025, arXiv 2501.04697). With the margins m_j = z_j − z_y of the other classes j ≠ y,

    p_y = exp(z_y) / Σ_j exp(z_j) = 1 / (1 + Σ_{j≠y} exp(m_j)),

so that the loss is −log p_y = log1p(Σ_{j≠y} exp(m_j)): nothing is subtracted from 1, and a loss of 1e-30 keeps all its
digits. Its gradient is ∂L/∂z_j = p_j for j ≠ y, and since softmax does not change when a constant is added to all
logits, the gradient sums to zero: ∂L/∂z_y = −Σ_{j≠y} p_j, a sum of positive numbers where p_y − 1 would cancel.
Relative, not absolute, precision, without float64. The plain forms are there to compare.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from grokcore.lazy_torch import torch
from grokcore.losses import _softmax
from grokcore.losses.base import Loss

if TYPE_CHECKING:
    from torch import Tensor

LOG2_E = 1.0 / math.log(2.0)
"""exp(x) = 2^(x · LOG2_E): powers of two are up to four times as fast as torch's exp, and as exact as margins are."""


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the exact softmax cross-entropy of each example: logits (..., C), targets (...) to losses (...)."""
    return _from_margins(_margins(logits, targets))[0]


def _margins(logits: Tensor, targets: Tensor) -> Tensor:
    """Return z_j − z_y, (..., C), and −inf at the target y itself."""
    index = targets.unsqueeze(-1)
    return (logits - logits.gather(-1, index)).scatter_(-1, index, -torch.inf)


def _from_margins(margins: Tensor) -> tuple[Tensor, Tensor]:
    """Return log1p(Σ_{j≠y} exp(z_j − z_y)) of each example, and its largest margin, (...) both; uses `margins` up."""
    top = margins.detach().amax(-1, keepdim=True)
    sums = margins.sub_(top).mul_(LOG2_E).exp2_().sum(-1)
    return _from_sums(sums, top.squeeze(-1)), top.squeeze(-1)


def _from_sums(sums: Tensor, top: Tensor) -> Tensor:
    """Return log1p(sum · exp(top)) of the largest margin and the others' sum as shares of it.

    As a logarithm of the sum it is safe for any size of the rest; softplus is log1p ∘ exp (the identity beyond 40).
    """
    return torch.nn.functional.softplus(sums.log() + top, threshold=40.0)


def cross_entropy_gradient_(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Turn logits (K, N, C) in place into the gradient of Σ_n weights · cross-entropy; exact at the target."""
    if _softmax.may_loop(logits):
        return _softmax.gradient_(logits, targets, weights)
    index = targets.unsqueeze(-1)
    powers = logits.sub_(logits.amax(-1, keepdim=True)).mul_(LOG2_E).exp2_()
    own = powers.gather(-1, index)
    others = powers.scatter_(-1, index, 0.0).sum(-1, keepdim=True)
    shares = weights.unsqueeze(-1) / (others + own)
    return powers.mul_(shares).scatter_(-1, index, (others * shares).neg_())


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(Loss):
    """log1p(Σ_{j≠y} exp(z_j − z_y)), exact however small it is."""

    SOFTMAX: ClassVar[bool] = True

    def examine(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Read the outputs once for both: an answer is right if no margin of another class is positive."""
        if _softmax.may_loop(outputs):
            sums, margins, right = _softmax.margins(outputs, targets)
            return _from_sums(sums, margins), right
        losses, largest = _from_margins(_margins(outputs, targets))
        return losses, (largest < 0) | ((largest == 0) & (self.answers(outputs) == targets))

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """log1p(Σ_{j≠y} exp(z_j − z_y))."""
        return cross_entropy(outputs, targets)

    def gradient_(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Softmax, and minus the others' sum at the target."""
        return cross_entropy_gradient_(outputs, targets, weights)

    def adds_bias(self, outputs: Tensor) -> bool:
        """Where it is a loop."""
        return _softmax.may_loop(outputs)

    def biased_gradient_(
        self, outputs: Tensor, bias: Tensor, targets: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Add the bias while an output is in a register, and up while its gradient is in the cache."""
        if not _softmax.may_loop(outputs):
            return super().biased_gradient_(outputs, bias, targets, weights)
        return _softmax.biased_gradient_(outputs, bias, targets, weights)

    def gradient_at_hot_(self, outputs: Tensor, targets: Tensor, hot: Tensor, weights: Tensor) -> Tensor:  # noqa: ARG002
        """Return the same by torch's softmax, whose shares of the others are as exact, in half as many operations."""
        shares = outputs.softmax(-1).masked_fill_(hot, 0.0)
        return torch.where(hot, -shares.sum(-1, keepdim=True), shares).mul_(weights.unsqueeze(-1))
