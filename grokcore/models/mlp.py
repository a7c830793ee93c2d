"""MLP: a fully connected network on one-hot or embedded operands, summed or concatenated, or on bits as numbers."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge

from grokcore.lazy_torch import torch
from grokcore.models.base import Model, Parameters, Tap, untouched
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class MLP(Model):
    """Operands → (embedding) → sum or concatenation → `depth` hidden layers → logits.

    Initial weights and biases are uniform in ±1/√(inputs of the layer), torch.nn.Linear's default; embeddings are
    standard normal over √embedding_width.
    """

    width: Annotated[int, Ge(1)] = 64
    """Neurons of each hidden layer."""
    depth: Annotated[int, Ge(1)] = 1
    """Hidden layers."""
    activation: Literal["relu", "gelu", "quadratic", "tanh"] = "relu"
    """Nonlinearity after each hidden layer: max(0, x), x Φ(x), x², or tanh x. Dropout comes after it."""
    inputs: Literal["one_hot", "embedding", "real"] = "embedding"
    """What the first layer reads: one-hot operands, learned embeddings of them, or bits as the numbers −1 and 1."""
    embedding_width: Annotated[int, Ge(1)] | None = None
    """Width of learned embeddings; the hidden width if not given. Only with inputs = "embedding"."""
    combine: Literal["sum", "concat"] = "sum"
    """Whether operands are added up, so that their order is invisible, or put side by side. If a configuration does not
    say, they are added where the order does not matter to the task, and put side by side elsewhere."""
    bias: bool = True
    """Whether layers have biases."""
    outputs: Literal["classes", "templates"] = "classes"
    """Whether there is one output per class, or a vector to compare with the task's template of each class."""

    def complaints(self) -> Iterator[str]:
        """Yield that an embedding width was given where nothing is embedded, or that numbers lose their places."""
        if self.inputs != "embedding" and self.embedding_width is not None:
            yield f'embedding_width = {self.embedding_width}: only with inputs = "embedding"; leave it out.'
        if self.inputs == "real" and self.combine == "sum":
            yield 'combine = "sum": bits as numbers are read side by side; with "real" take combine = "concat".'

    @classmethod
    def suited(cls, section: Mapping[str, Any], task: Task | None) -> Mapping[str, Any]:
        """Put bits as numbers side by side, and operands whose order matters."""
        ordered = task is not None and not task.sharing.commutative
        return {"combine": "concat", **section} if ordered or section.get("inputs") == "real" else section

    def misfits(self, task: Task) -> Iterator[str]:
        """Yield that tokens are no bits, that the order of operands is lost, or that there are no templates."""
        if self.inputs != "real" and self.combine == "sum" and not task.sharing.commutative:
            yield 'model.combine = "sum": hides the order of operands, which matters to the task; take "concat".'
        if self.inputs == "real" and task.table.symbols != 2:
            yield f'model.inputs = "real": reads bits, and the task has {task.table.symbols} symbols; take "one_hot".'
        if self.regresses and task.table.templates is None:
            yield 'model.outputs = "templates": the task has none; take "classes", or a task that has (toy_addition).'

    @property
    def regresses(self) -> bool:
        """Templates are regressed to."""
        return self.outputs == "templates"

    @property
    def symmetric(self) -> bool:
        """Summed operands have no order."""
        return self.combine == "sum"

    def _embedded(self) -> int:
        return self.embedding_width or self.width

    def layers(self, task: Task) -> list[tuple[int, int]]:
        """Return (inputs, outputs) of every fully connected layer."""
        table = task.table
        first = {"embedding": self._embedded(), "one_hot": table.symbols, "real": 1}[self.inputs]
        first *= table.inputs.shape[1] if self.combine == "concat" else 1
        last = table.classes if table.templates is None or not self.regresses else table.templates.shape[1]
        widths = [first, *[self.width] * self.depth, last]
        return list(itertools.pairwise(widths))

    def shapes(self, task: Task) -> dict[str, tuple[int, ...]]:
        """Return "embedding" (S, D), then "weight_i" (inputs, outputs) and "bias_i" (outputs,) for each layer i."""
        shapes: dict[str, tuple[int, ...]] = {}
        if self.inputs == "embedding":
            shapes["embedding"] = (task.table.symbols, self._embedded())
        for i, (n, m) in enumerate(self.layers(task)):
            shapes[f"weight_{i}"] = (n, m)
            if self.bias:
                shapes[f"bias_{i}"] = (m,)
        return shapes

    def hidden(self, task: Task) -> tuple[str, ...]:  # noqa: ARG002
        """Return the weights but the last, which reads out, and a first one that reads one-hot operands."""
        return tuple(f"weight_{i}" for i in range(1 if self.inputs == "one_hot" else 0, self.depth))

    def initial(self, task: Task, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw the parameters; see the class for their scale."""
        drawn: dict[str, Tensor] = {}
        if self.inputs == "embedding":
            drawn["embedding"] = torch.randn(
                task.table.symbols, self._embedded(), generator=generator, dtype=torch.float64
            ) / math.sqrt(self._embedded())
        for i, (n, m) in enumerate(self.layers(task)):
            for name, shape in ((f"weight_{i}", (n, m)), (f"bias_{i}", (m,))):
                if name.startswith("weight") or self.bias:
                    uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
                    drawn[name] = (2 * uniform - 1) / math.sqrt(n)
        return drawn

    def forward(self, task: Task, parameters: Parameters, inputs: Tensor, tap: Tap = untouched) -> Tensor:  # noqa: ARG002
        """Return logits (K, N, C) of tokens (K, N, P)."""
        w = parameters
        x = self._first_layer(w, tap("operands", self._operands(w, inputs)))
        for i in range(self.depth):
            x = tap(f"neurons_{i}", self.activate(tap(f"before_{i}", x)))
            x = _affine(x, w[f"weight_{i + 1}"], w.get(f"bias_{i + 1}"))
        return x

    def _operands(self, w: Parameters, inputs: Tensor) -> Tensor:
        """Return what stands for each token, (K, N, P, …): its embedding, its row of the first layer, or its number."""
        if self.inputs == "real":
            return self.numbers(inputs, w["weight_0"]).unsqueeze(-1)
        if self.inputs == "embedding":
            return _rows(w["embedding"], inputs)
        if self.combine == "sum":
            return _rows(w["weight_0"], inputs)
        # A one-hot vector times a matrix is a row of the matrix; each position has its own block of rows.
        positions = inputs.shape[-1]
        block = w["weight_0"].shape[1] // positions
        return _rows(w["weight_0"], inputs + torch.arange(positions, device=inputs.device) * block)

    def _first_layer(self, w: Parameters, operands: Tensor) -> Tensor:
        """Return what enters the first nonlinearity, (K, N, width)."""
        if self.inputs == "real" or (self.inputs == "embedding" and self.combine == "concat"):
            return _affine(operands.flatten(2), w["weight_0"], w.get("bias_0"))
        # One after another: a sum over an axis may add in an order that depends on the number of runs.
        x = functools.reduce(torch.add, operands.unbind(2))
        if self.inputs == "embedding":
            return _affine(x, w["weight_0"], w.get("bias_0"))
        return x + w["bias_0"].unsqueeze(1) if self.bias else x

    def numbers(self, inputs: Tensor, like: Tensor) -> Tensor:
        """Return bits as −1 and 1, in the precision of `like`."""
        return inputs.to(like).mul_(2).sub_(1)

    def tables(self, parameters: Parameters, positions: int) -> list[Tensor]:
        """Return, per position, what each symbol adds to the first hidden layer: `positions` tensors (K, S, width).

        A one-hot vector times a matrix is a row of the matrix; an embedding times a matrix is a row of their product.
        """
        weight = parameters["weight_0"]
        blocks = list(weight.chunk(positions, dim=1)) if self.combine == "concat" else [weight] * positions
        if self.inputs == "embedding":
            if self.combine == "sum":
                return [parameters["embedding"] @ weight] * positions
            return [parameters["embedding"] @ block for block in blocks]
        return blocks

    def activate(self, x: Tensor) -> Tensor:
        """Apply the nonlinearity."""
        if self.activation == "relu":
            return torch.relu(x)
        if self.activation == "tanh":
            return torch.tanh(x)
        return torch.nn.functional.gelu(x) if self.activation == "gelu" else x * x

    def embedding(self, task: Task, parameters: Parameters) -> Tensor:
        """Return the learned embedding, or the first operand's rows of the first layer."""
        if self.inputs == "embedding":
            return parameters["embedding"]
        if self.inputs == "real":
            first = parameters["weight_0"][:, :1]
            return torch.cat([-first, first], dim=1)
        return parameters["weight_0"][:, : task.table.symbols]

    @property
    def hidden_layers(self) -> int:
        """All hidden layers are named."""
        return self.depth

    @property
    def shares_embedding(self) -> bool:
        """Embedded operands are; so are one-hot ones that are added up, whose embedding is the first layer."""
        return self.inputs == "embedding" or (self.inputs == "one_hot" and self.combine == "sum")


def _affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.bmm(x, weight) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, weight)


def _rows(table: Tensor, tokens: Tensor) -> Tensor:
    """Return each run's rows of its table (K, S, D) for its tokens (K, …): (K, …, D)."""
    start = torch.arange(len(table), device=table.device).mul_(table.shape[1]).view(-1, *[1] * (tokens.dim() - 1))
    return torch.nn.functional.embedding(tokens + start, table.reshape(-1, table.shape[-1]))
