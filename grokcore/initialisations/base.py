"""Initialisation: where a run's weights begin."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from grokcore.config.component import Component
from grokcore.config.registry import ComponentRegistry
from grokcore.lazy_torch import torch
from grokcore.models.base import Model
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Initialisation(Component, abc.ABC):
    """Draws one run's weights."""

    scale: Annotated[float, Gt(0)] = 1.0
    """Multiplies every initial parameter: the α of Liu et al.'s Omnigrok (arXiv 2210.01117)."""

    @abc.abstractmethod
    def draw(self, model: Model, task: Task, generator: torch.Generator) -> dict[str, Tensor]:
        """Return one run's parameters in float64, before they are scaled."""

    def misfits(self, model: Model, task: Task) -> Iterator[str]:  # noqa: ARG002
        """Yield why the model cannot begin so on the task; nothing if it can."""
        yield from ()

    def initial(self, model: Model, task: Task, generator: torch.Generator) -> dict[str, Tensor]:
        """Return one run's initial parameters in float64, in the order of the model's shapes."""
        drawn = self.draw(model, task, generator)
        return drawn if self.scale == 1 else {name: self.scale * value for name, value in drawn.items()}


INITIALISATIONS: ComponentRegistry[Initialisation] = ComponentRegistry(
    "grokcore.initialisations",
    Initialisation,  # type: ignore[type-abstract]
    "initialisation",
)
