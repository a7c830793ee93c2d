"""Default: the model's own random weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grokcore.initialisations.base import Initialisation
from grokcore.lazy_torch import torch
from grokcore.models.base import Model
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Default(Initialisation):
    """The distribution that the model states."""

    def draw(self, model: Model, task: Task, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw as the model does."""
        return model.initial(task, generator)
