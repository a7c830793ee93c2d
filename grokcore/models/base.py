"""Model: a network with stacked parameters, its plain forward pass, and the kernel that trains it.

Shapes: K runs, N examples, P positions, S symbols, C output classes, D embedding width.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from grokcore.parts import Family, Part
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from grokcore.dropout import Dropout
    from grokcore.kernel import Kernel
    from grokcore.losses import Loss

Parameters = Mapping[str, Tensor]
"""Name to tensor; every tensor is (K, *shape)."""


@dataclass(frozen=True, kw_only=True)
class Model(Part, abc.ABC):
    """Which network learns. A member states its parameters, their initial values and its forward pass.

    `forward` is the specification: plain, differentiable, one line per line of the paper. `kernel` may give a faster
    way to the same loss and gradients; tests hold the two together.
    """

    @abc.abstractmethod
    def shapes(self, task: Task) -> dict[str, tuple[int, ...]]:
        """Return the shape of every parameter of one run, in a fixed order."""

    @abc.abstractmethod
    def initial(self, task: Task, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw one run's initial parameters in float64, in the order of `shapes`."""

    @abc.abstractmethod
    def forward(self, parameters: Parameters, inputs: Tensor, drop: Dropout | None = None) -> Tensor:
        """Return logits (K, N, C) of token `inputs` (K, N, P); `drop` thins out activations, in training only."""

    @abc.abstractmethod
    def embedding(self, parameters: Parameters, task: Task) -> Tensor:
        """Return what each symbol is turned into: (K, S, D), the object of spectral measures."""

    @classmethod
    def suited(cls, section: Mapping[str, Any], task: Task | None) -> Mapping[str, Any]:  # noqa: ARG003
        """Return the section of a configuration with what the task, if it is known, asks for where nothing is said."""
        return section

    def misfits(self, task: Task) -> Iterator[str]:  # noqa: ARG002
        """Yield why the model cannot read the task; nothing if it can."""
        yield from ()

    @property
    def symmetric(self) -> bool:
        """Whether the network cannot tell the order of its inputs, so that (a, b) and (b, a) are computed once."""
        return False

    @abc.abstractmethod
    def activations(self, task: Task) -> int:
        """Return about how many numbers a training step holds per example, to predict memory."""

    @property
    def regresses(self) -> bool:
        """Whether the outputs are a vector to compare with the task's templates, instead of one number per class."""
        return False

    def hidden(self, task: Task) -> tuple[str, ...]:
        """Return the names of the matrices between what is read in and what is read out."""
        ends = ("embedding", "positions", "unembedding")
        return tuple(name for name, shape in self.shapes(task).items() if len(shape) == 2 and name not in ends)

    def kernel(self, task: Task, loss: Loss | None = None) -> Kernel:
        """Return what computes stacked losses and gradients: torch's differentiation, unless a member knows better."""
        from grokcore.kernel import AutogradKernel

        return AutogradKernel(self, task, loss)


MODELS: Family[Model] = Family("grokcore.models", Model, "model")  # type: ignore[type-abstract]
