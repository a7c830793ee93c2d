"""Analytic: a solution of the task that is known in closed form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grokcore.errors import ConfigError
from grokcore.initialisations.base import Initialisation
from grokcore.lazy_torch import torch
from grokcore.models.base import MODELS, Model
from grokcore.models.quadratic_mlp import NEURONS, QuadraticMLP
from grokcore.tasks.base import TASKS, Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Analytic(Initialisation):
    """Gromov's weights for modular addition (2023, arXiv 2301.02679), in a `quadratic_mlp`."""

    def misfits(self, model: Model, task: Task) -> Iterator[str]:
        """Yield that no solution is known, or that the network is too narrow for it."""
        if not isinstance(model, QuadraticMLP) or TASKS.name_of(task) != "modular_addition":
            yield (
                f"initialisation = analytic: no solution of {TASKS.name_of(task)} by {MODELS.name_of(model)} is known "
                "here; it is for model quadratic_mlp on task modular_addition."
            )
        elif model.width < (least := NEURONS * (task.table.symbols // 2)):
            yield (
                f"model.width = {model.width}: the analytic solution takes {NEURONS} neurons for each of "
                f"{task.table.symbols // 2} frequencies; take at least {least}."
            )

    def draw(self, model: Model, task: Task, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the solution, with random phases."""
        if not isinstance(model, QuadraticMLP):
            raise ConfigError(list(self.misfits(model, task)))
        return model.analytic(task, generator)
