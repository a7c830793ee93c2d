"""Group norms: the Euclidean norm of every parameter tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.measures.weight_norm import squares
from grokcore.models.base import Model
from grokcore.tasks.base import Task
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


class GroupNorms(Measure):
    """‖θ_g‖₂ of each parameter tensor g, as ``norm_embedding`` and so on; their squares add up to the weight norm's."""

    cost = "full"

    def columns(self, task: Task, model: Model) -> tuple[str, ...]:
        """Return one for each tensor of the model."""
        return tuple(f"norm_{name.replace('.', '_')}" for name in model.shapes(task))

    def compute(self, view: View) -> Tensor:
        """Return the norms per run, (K, tensors)."""
        return torch.stack([squares(value).sqrt() for value in view.parameters.values()], dim=1)
