"""Mean squares: the distance of the outputs to the class's one-hot row, or to the task's template of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.losses.base import Loss
from grokcore.models.base import Model
from grokcore.numerics.constants import on_device
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class MeanSquares(Loss):
    """Mean over the outputs of the squared distance to what is wanted, as torch.nn.MSELoss has it."""

    def on(self, task: Task, model: Model) -> Loss:  # type: ignore[override]
        """Return the distance to the task's templates, where the model regresses to them."""
        if not model.regresses or task.table.templates is None:
            return self
        return _ToTemplates(torch.from_numpy(task.table.templates.copy()))

    def misfits(self, model: Model, dtype: str) -> Iterator[str]:  # noqa: ARG002
        """Yield nothing: vectors and classes are both regressed to."""
        yield from ()

    def wanted(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return what the outputs (K, N, C) should be."""
        return torch.zeros_like(outputs).scatter_(-1, targets.unsqueeze(-1), 1.0)

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean of squares."""
        return (outputs - self.wanted(outputs, targets)).square().mean(-1)

    def gradient_(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """2 / C · difference."""
        difference = outputs - self.wanted(outputs, targets)
        return difference.mul_(2.0 / outputs.shape[-1]).mul_(weights.unsqueeze(-1))


class _ToTemplates(MeanSquares):
    """Mean squares to the template (C,) of each class, (classes, C)."""

    def __init__(self, templates: Tensor) -> None:
        object.__setattr__(self, "templates", templates)

    templates: Tensor

    def _templates(self, outputs: Tensor) -> Tensor:
        return on_device(self.templates, outputs.device).to(outputs.dtype)

    def wanted(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the templates."""
        return self._templates(outputs)[targets]

    def answers(self, outputs: Tensor) -> Tensor:
        """Return the class whose template is nearest."""
        templates = self._templates(outputs)
        # ‖o − t‖² = ‖o‖² − 2 (o·t − ‖t‖² / 2)
        return (outputs @ templates.T - templates.square().sum(-1) / 2).argmax(-1)
