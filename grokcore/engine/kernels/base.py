"""Kernel: computes the stacked loss gradients of one model on one task, and examines examples without training.

A kernel is the fast form of ``model.forward`` followed by the loss; it declares what it `serves`.

Shapes: K runs, N examples of a batch (padded; padding has weight 0), P positions, C classes.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

from grokcore.data.batch import Batch
from grokcore.lazy_torch import torch
from grokcore.losses.base import Loss
from grokcore.models.base import Model, Parameters
from grokcore.numerics.vectors import VECTOR
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Serves:
    """What a kernel declares of itself: whose forward pass it computes, and for which values of the model's fields.

    A field that is not declared may change what `forward` computes in a way that the kernel does not know of, so that
    a model with it is not served: whoever adds a field to a model says here, kernel by kernel, what becomes of it.
    """

    model: type[Model]
    """The class whose forward pass is computed; subclasses that leave it alone are served too."""
    fields: Mapping[str, tuple[object, ...] | None]
    """Every field of the model: the values that are computed rightly, or None where all are."""
    dropout: bool = False
    """Whether activations are thinned out where a batch says so."""
    layouts: tuple[str, ...] = ("bucketed", "full_table")
    """Layouts of examples (grokcore/data/layouts.py) that are computed."""

    HARMLESS: ClassVar[frozenset[str]] = frozenset({"activations", "complaints", "initial", "misfits", "suited"})
    """What a subclass may say in its own way without changing the forward pass."""

    def refusal(self, model: Model, *, dropout: bool, layout: str) -> str | None:
        """Return why the kernel does not serve a model; None if it does."""
        if not self.concerns(model):
            return f"its forward pass is not that of {self.model.__name__}"
        for field in fields(model):
            allowed, value = self.fields.get(field.name, ()), getattr(model, field.name)
            if allowed is not None and value not in allowed:
                return f"{field.name} = {value!r}"
        if layout not in self.layouts:
            return f"layout = {layout!r}"
        return "dropout" if dropout and not self.dropout else None

    def concerns(self, model: Model) -> bool:
        """Say whether a model computes its outputs by the methods of the declared class."""
        kind = type(model)
        own = (name for name, value in vars(self.model).items() if callable(value) or isinstance(value, property))
        fixed = (name for name in own if not name.startswith("__") and name not in self.HARMLESS)
        return isinstance(model, self.model) and all(getattr(kind, n) is getattr(self.model, n) for n in fixed)


class Kernel(abc.ABC):
    """Losses and gradients of stacked runs."""

    serves: ClassVar[Serves]
    """What it can compute."""

    def __init__(self, model: Model, task: Task, loss: Loss, chunk_elements: int | None = None) -> None:
        self.model, self.task, self.loss = model, task, loss.on(task, model)
        self.chunk_elements = chunk_elements
        """Elements per run of the widest activation, or of the logits, held at once; None: those of all examples."""
        self._buffers: dict[str, Tensor] = {}

    @classmethod
    def fits(cls, task: Task) -> bool:  # noqa: ARG003
        """Say whether the kernel can compute a task; most can any."""
        return True

    def buffer(self, name: str, like: Tensor, *shape: int) -> Tensor:
        """Return memory that is used again at every step, unset: the pages of new memory cost more than a product."""
        if name not in self._buffers or self._buffers[name].shape != shape:
            self._buffers[name] = like.new_empty(shape)
        return self._buffers[name]

    def chunks(self, examples: int, widest: int) -> list[slice]:
        """Cut examples so that some's activations, `widest` numbers each, stay in the cache; no vector is cut."""
        if self.chunk_elements is None:
            return [slice(0, examples)]
        size = VECTOR * math.ceil(examples / math.ceil(examples * widest / self.chunk_elements) / VECTOR)
        return [slice(start, min(start + size, examples)) for start in range(0, examples, size)]

    @abc.abstractmethod
    def gradients(self, parameters: Parameters, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write ∂ Σ_n weights · loss / ∂ parameters into `out`, tensor by tensor (each is overwritten whole)."""

    def output_gradient(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the gradient of the loss at the outputs (K, N, C) of a batch; `outputs` may be overwritten.

        Where a batch is watched, its right answers are counted on the way: the outputs are there anyway.
        """
        if batch.watched is not None and batch.right is not None:
            right = (self.loss.answers(outputs) == batch.targets).to(outputs.dtype)
            torch.bmm(right.unsqueeze(1), batch.watched, out=batch.right.unsqueeze(1))
        if batch.scale is not None:
            outputs = outputs.mul_(batch.scale)
        if batch.collects:
            return self.loss.gradient_(outputs, batch.targets, batch.weights)
        hot = batch.hot_targets(outputs.shape[-1])
        return self.loss.gradient_at_hot_(outputs, batch.targets, hot, batch.weights)

    def logits(self, parameters: Parameters, batch: Batch) -> Tensor:
        """Return the logits (K, N, C) of a batch."""
        return self.model.forward(self.task, parameters, batch.inputs)

    def examine(self, parameters: Parameters, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return each example's loss and whether it is answered rightly: two (K, N) tensors."""
        losses = torch.empty_like(batch.weights)
        right = torch.empty_like(batch.targets, dtype=torch.bool)
        if "parts" not in batch.prepared:
            # The same objects every time: what a kernel prepares for a part is still there at the next look.
            cuts = self.chunks(batch.targets.shape[1], self.task.table.classes)
            batch.prepared["parts"] = [(where, batch.chunk(where.start, where.stop)) for where in cuts]
        for where, part in batch.prepared["parts"]:
            logits = self.logits(parameters, part)
            if part.scale is not None:
                logits = logits.mul_(part.scale)
            losses[:, where], right[:, where] = self.loss.examine(logits, part.targets)
        return losses, right
