"""Kernel: computes the stacked loss gradients of one model on one task, and examines examples without training.

A kernel is the fast form of ``model.forward`` followed by the loss; `AutogradKernel` is that form itself.
Batches hold distinct examples only (see grokcore/sharing.py), each with a weight.

Shapes: K runs, N examples of a batch (padded; padding has weight 0), P positions, C classes.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from grokcore.layout import VECTOR
from grokcore.losses import CrossEntropy, Loss
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from grokcore.dropout import Dropout
    from grokcore.models.base import Model, Parameters

CHUNK_ELEMENTS = 1 << 18
"""Elements per run of the widest activation, or of the logits, held at once: 1 MB of float32, about a core's cache."""


def chunks(examples: int, widest: int) -> list[slice]:
    """Cut examples so that some's activations, `widest` numbers each, stay in the cache; whole vectors, no tails."""
    size = VECTOR * math.ceil(examples / math.ceil(examples * widest / CHUNK_ELEMENTS) / VECTOR)
    return [slice(start, min(start + size, examples)) for start in range(0, examples, size)]


@dataclass(frozen=True)
class Batch:
    """Examples of K runs, side by side."""

    inputs: Tensor
    """(K, N, P) tokens."""
    targets: Tensor
    """(K, N) classes."""
    weights: Tensor
    """(K, N): each example's share of the mean loss, times `scale`; 0 for padding."""
    scale: Tensor | None = None
    """(K, 1, 1): what outputs are multiplied by before the loss; None: nothing."""
    drop: Dropout | None = None
    """What thins out activations in this step; None: nothing."""
    prepared: dict[str, Any] = field(default_factory=dict)
    """What a kernel worked out about the batch once, to use at every step."""

    def chunk(self, start: int, stop: int) -> Batch:
        """Return the examples from `start` to `stop` of every run."""
        where = slice(start, stop)
        return Batch(self.inputs[:, where], self.targets[:, where], self.weights[:, where], self.scale, self.drop)


class Kernel(abc.ABC):
    """Losses and gradients of stacked runs."""

    def __init__(self, model: Model, task: Task, loss: Loss | None = None) -> None:
        self.model, self.task, self.loss = model, task, loss or CrossEntropy()
        self._rooms: dict[str, Tensor] = {}

    def room(self, name: str, like: Tensor, *shape: int) -> Tensor:
        """Return memory that is used again at every step, unset: the pages of new memory cost more than a product."""
        if name not in self._rooms or self._rooms[name].shape != shape:
            self._rooms[name] = like.new_empty(shape)
        return self._rooms[name]

    @abc.abstractmethod
    def gradients(self, parameters: Parameters, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write ∂ Σ_n weights · loss / ∂ parameters into `out`, tensor by tensor (each is overwritten whole)."""

    def push(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the gradient of the loss at the outputs (K, N, C) of a batch; `outputs` may be overwritten."""
        if batch.scale is not None:
            outputs = outputs.mul_(batch.scale)
        return self.loss.gradient_(outputs, batch.targets, batch.weights)

    def logits(self, parameters: Parameters, batch: Batch) -> Tensor:
        """Return the logits (K, N, C) of a batch."""
        return self.model.forward(parameters, batch.inputs)

    def examine(self, parameters: Parameters, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return each example's loss and whether it is answered rightly: two (K, N) tensors."""
        losses = torch.empty_like(batch.weights)
        right = torch.empty_like(batch.targets, dtype=torch.bool)
        if "parts" not in batch.prepared:
            # The same objects every time: what a kernel prepares for a part is still there at the next look.
            cuts = chunks(batch.targets.shape[1], self.task.table.classes)
            batch.prepared["parts"] = [(where, batch.chunk(where.start, where.stop)) for where in cuts]
        for where, part in batch.prepared["parts"]:
            logits = self.logits(parameters, part)
            if part.scale is not None:
                logits = logits.mul_(part.scale)
            losses[:, where], right[:, where] = self.loss.examine(logits, part.targets)
        return losses, right


class AutogradKernel(Kernel):
    """The specification itself: the model's forward pass, differentiated by torch."""

    def gradients(self, parameters: Parameters, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Differentiate; see `Kernel.gradients`."""
        with torch.enable_grad():
            leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
            outputs = self.outputs(leaves, batch)
        push = self.push(outputs.detach().clone(), batch)
        for name, gradient in zip(leaves, torch.autograd.grad(outputs, list(leaves.values()), push), strict=True):
            out[name].copy_(gradient)

    def outputs(self, leaves: Parameters, batch: Batch) -> Tensor:
        """Return the outputs (K, N, C) of a batch that is trained on, to be differentiated."""
        return self.model.forward(leaves, batch.inputs, batch.drop)
