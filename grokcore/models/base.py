"""Model: a network with stacked parameters and its forward pass, in which what measures look at has names.

Shapes: K runs, N examples, P positions, S symbols, C output classes, D embedding width, M neurons.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grokcore.config.component import Component
from grokcore.config.registry import ComponentRegistry
from grokcore.lazy_torch import torch
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor

Parameters = Mapping[str, "Tensor"]
"""Name to tensor; every tensor is (K, *shape)."""

Tap = Callable[[str, "Tensor"], "Tensor"]
"""Is told the name of a place and what passes there, and returns what is to go on from there."""


def untouched(name: str, value: Tensor) -> Tensor:  # noqa: ARG001
    """Let everything pass as it is."""
    return value


@dataclass(frozen=True, kw_only=True)
class Model(Component, abc.ABC):
    """Which network learns. A member states its parameters, their initial values and its forward pass.

    `forward` is the specification: plain, differentiable, one line per line of the paper. Everything else follows from
    it: gradients by torch's differentiation, unless a kernel (grokcore/engine/kernels/) declares that it computes the
    same faster; dropout and measures by its named places.

    The places: ``operands``, what stands for each operand; of hidden layer i ``before_i``, what enters its
    nonlinearity, and ``neurons_i``, what leaves it; ``heads_i``, (…, H, B), what the attention heads of block i mix.
    Each is (K, N, …, features), the axis before the features that of positions where there are several, the one that
    is read out last. A model that names none of them trains as well; measures of its inside say why they are left out.
    """

    @abc.abstractmethod
    def shapes(self, task: Task) -> dict[str, tuple[int, ...]]:
        """Return the shape of every parameter of one run, in a fixed order."""

    @abc.abstractmethod
    def initial(self, task: Task, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw one run's initial parameters in float64, in the order of `shapes`."""

    @abc.abstractmethod
    def forward(self, task: Task, parameters: Parameters, inputs: Tensor, tap: Tap = untouched) -> Tensor:
        """Return logits (K, N, C) of token `inputs` (K, N, P); what passes a named place goes through `tap`."""

    def embedding(self, task: Task, parameters: Parameters) -> Tensor | None:  # noqa: ARG002
        """Return what each symbol is turned into, (K, S, D), the object of spectral measures; None if there is none."""
        return None

    @property
    def hidden_layers(self) -> int:
        """Hidden layers, or blocks, whose places are named."""
        return 0

    @property
    def attention_heads(self) -> int:
        """Attention heads of each block, 0 for a network without."""
        return 0

    @property
    def dropped(self) -> tuple[str, ...]:
        """Beginnings of the names of the places where dropout thins out: "neurons_" means all of them."""
        return ("neurons_",)

    @property
    def shares_embedding(self) -> bool:
        """Whether all operands are looked up in one embedding, and ``operands`` is what was found there."""
        return False

    def operand_positions(self, task: Task) -> tuple[int, ...]:
        """Return where along the axis of positions of ``operands`` each operand stands."""
        return tuple(range(int(task.table.inputs.shape[1])))

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

    @property
    def regresses(self) -> bool:
        """Whether the outputs are a vector to compare with the task's templates, instead of one number per class."""
        return False

    @property
    def outputs_first(self) -> bool:
        """Whether matrices are (outputs, inputs) instead of (inputs, outputs)."""
        return False

    def hidden(self, task: Task) -> tuple[str, ...]:
        """Return the names of the matrices between what is read in and what is read out."""
        ends = ("embedding", "positions", "unembedding")
        return tuple(name for name, shape in self.shapes(task).items() if len(shape) == 2 and name not in ends)


def no_embedding(task: Task, model: Model) -> str | None:
    """Return why a network has no embedding of the task's symbols, or None if it has."""
    parameters = {
        name: torch.empty(1, *shape, device="meta", dtype=torch.float32) for name, shape in model.shapes(task).items()
    }
    return None if model.embedding(task, parameters) is not None else "the model names no embedding"


def no_places(task: Task, model: Model) -> str | None:  # noqa: ARG001
    """Return why a network's inside cannot be looked at, or None if it can."""
    return None if model.hidden_layers else "the model names no places inside"


def at_read_out(value: Tensor, *, features: int = 1) -> Tensor:
    """Return what passed a place at the position that is read out: (K, N, …, features) to (K, N, features).

    `features` is the number of axes at the end that are not positions.
    """
    return value if value.dim() == 2 + features else value.select(-features - 1, value.shape[-features - 1] - 1)


def recording(names: frozenset[str], into: dict[str, Tensor]) -> Tap:
    """Return a tap that notes what passes under some names."""

    def tap(name: str, value: Tensor) -> Tensor:
        if name in names:
            into[name] = value
        return value

    return tap


MODELS: ComponentRegistry[Model] = ComponentRegistry("grokcore.models", Model, "model")  # type: ignore[type-abstract]
