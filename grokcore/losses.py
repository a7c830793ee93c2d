"""Losses over stacked outputs (K, N, C), with gradients that stay exact when an example is all but certain.

In float32, log-softmax rounds a small loss to zero and the gradient at the target, p_y − 1, with it ("softmax
collapse", Prieto et al. 2025, arXiv 2501.04697). Here the loss is log1p(Σ_{j≠y} exp(z_j − z_y)) and the gradient at
the target is −Σ_{j≠y} p_j: relative, not absolute, precision, without float64. The plain forms are there to compare.
"""

from __future__ import annotations

import abc
import math

import torch
from torch import Tensor

from grokcore.tasks.base import Task

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
    # As a logarithm of the sum it is safe for any size of the rest; softplus is log1p ∘ exp (the identity beyond 40).
    others = margins.sub_(top).mul_(LOG2_E).exp2_().sum(-1).log() + top.squeeze(-1)
    return torch.nn.functional.softplus(others, threshold=40.0), top.squeeze(-1)


def cross_entropy_gradient_(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Turn logits (K, N, C) in place into the gradient of Σ_n weights · cross-entropy; exact at the target."""
    index = targets.unsqueeze(-1)
    powers = logits.sub_(logits.amax(-1, keepdim=True)).mul_(LOG2_E).exp2_()
    own = powers.gather(-1, index)
    others = powers.scatter_(-1, index, 0.0).sum(-1, keepdim=True)
    shares = weights.unsqueeze(-1) / (others + own)
    return powers.mul_(shares).scatter_(-1, index, (others * shares).neg_())


class Loss(abc.ABC):
    """What is minimised, as a weighted sum over examples, and which class an output answers."""

    @abc.abstractmethod
    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return each example's loss: outputs (K, N, C), targets (K, N) to (K, N)."""

    @abc.abstractmethod
    def gradient_(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the gradient of Σ_n weights · loss at the outputs, (K, N, C); `outputs` may be overwritten."""

    def answers(self, outputs: Tensor) -> Tensor:
        """Return the class that each output answers: the largest."""
        return outputs.argmax(-1)

    def examine(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return each example's loss and whether it is answered rightly, (K, N) both."""
        return self.values(outputs, targets), self.answers(outputs) == targets


class CrossEntropy(Loss):
    """Softmax cross-entropy, exact however small it is."""

    def examine(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Read the outputs once for both: an answer is right if no margin of another class is positive."""
        losses, largest = _from_margins(_margins(outputs, targets))
        right = largest < 0
        tied = largest == 0
        if bool(tied.any()):
            right[tied] = self.answers(outputs[tied]) == targets[tied]
        return losses, right

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """log1p(Σ_{j≠y} exp(z_j − z_y))."""
        return cross_entropy(outputs, targets)

    def gradient_(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Softmax, and minus the others' sum at the target."""
        return cross_entropy_gradient_(outputs, targets, weights)


class PlainCrossEntropy(Loss):
    """Softmax cross-entropy as torch computes it, after a cast to the precision `dtype`: p − 1 at the target."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """−log softmax at the target."""
        logs = outputs.to(self.dtype).log_softmax(-1)
        return -logs.gather(-1, targets.unsqueeze(-1)).squeeze(-1).to(outputs.dtype)

    def gradient_(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Softmax minus one-hot."""
        p = outputs.to(self.dtype).log_softmax(-1).exp_()
        index = targets.unsqueeze(-1)
        p.scatter_(-1, index, p.gather(-1, index) - 1.0)
        return p.mul_(weights.unsqueeze(-1)).to(outputs.dtype)


class StableMax(Loss):
    """−log(s(z_y) / Σ_j s(z_j)) with s(z) = z + 1 for z ≥ 0 and 1 / (1 − z) below (Prieto et al. 2025).

    Grows linearly where softmax grows exponentially; here too the loss is log1p of the others' sum over the target's.
    """

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


class MeanSquares(Loss):
    """Mean over the outputs of the squared distance to the class's vector: its template, or its one-hot row."""

    def __init__(self, templates: Tensor | None) -> None:
        self.templates = templates

    def _wanted(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self.templates is None:
            return torch.zeros_like(outputs).scatter_(-1, targets.unsqueeze(-1), 1.0)
        return self.templates.to(outputs)[targets]

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean of squares, as torch.nn.MSELoss has it."""
        return (outputs - self._wanted(outputs, targets)).square().mean(-1)

    def gradient_(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """2 / C · difference."""
        difference = outputs - self._wanted(outputs, targets)
        return difference.mul_(2.0 / outputs.shape[-1]).mul_(weights.unsqueeze(-1))

    def answers(self, outputs: Tensor) -> Tensor:
        """Return the class whose vector is nearest."""
        if self.templates is None:
            return outputs.argmax(-1)
        templates = self.templates.to(outputs)
        # ‖o − t‖² = ‖o‖² − 2 (o·t − ‖t‖² / 2)
        return (outputs @ templates.T - templates.square().sum(-1) / 2).argmax(-1)


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


LOSSES = ("cross_entropy", "cross_entropy_float32", "cross_entropy_float64", "stablemax", "mse", "hinge")
"""The names of losses in a configuration."""


def make_loss(name: str, task: Task, *, regresses: bool = False) -> Loss:
    """Return the loss called `name` on a task; `regresses` to the task's templates or gives a number per class."""
    if name == "mse":
        templates = task.table.templates if regresses else None
        return MeanSquares(None if templates is None else torch.from_numpy(templates.copy()))
    return {
        "cross_entropy": CrossEntropy(),
        "cross_entropy_float32": PlainCrossEntropy(torch.float32),
        "cross_entropy_float64": PlainCrossEntropy(torch.float64),
        "stablemax": StableMax(),
        "hinge": Hinge(),
    }[name]
