"""Anatomy: one forward pass of every network, in which all that passes has a name, to be looked at or changed.

An MLP's hidden layer i has ``before_i``, what enters its nonlinearity, and ``neurons_i``, what leaves it. So has a
transformer's block i, after ``heads_i``, what its attention heads mix; each is tapped at one position after another,
the one that is read out last, and in the last block at that position only. ``operands`` are the embedded tokens, or for
one-hot operands the first layer's rows.

Shapes: K runs, N examples, P tokens, M neurons, D width of the residual stream, H heads, C outputs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from grokcore.models.base import Model, Parameters
from grokcore.models.mlp import MLP
from grokcore.models.transformer import Transformer
from grokcore.tasks.base import Task

Tap = Callable[[str, Tensor], Tensor]
"""Is told the name of a tensor that passes, and returns what is to go on in its place."""


def untouched(name: str, value: Tensor) -> Tensor:  # noqa: ARG001
    """Let everything pass."""
    return value


@dataclass(frozen=True)
class Inside:
    """A network's state at its last hidden layer, at the position that is read out: what the logits follow from."""

    neurons: Tensor
    """(K, N, M): activations of the last hidden layer."""
    stream: Tensor | None = None
    """(K, N, D): what a transformer's last MLP adds to; an MLP has none."""


def no_anatomy(task: Task, model: Model) -> str | None:  # noqa: ARG001
    """Return why a network's inside is not known, or None if it is."""
    return None if isinstance(model, (MLP, Transformer)) else f"the inside of {type(model).__name__} is not known"


def hidden_layers(model: Model) -> int:
    """Return the number of hidden layers, or of blocks."""
    if isinstance(model, MLP):
        return model.depth
    return model.layers if isinstance(model, Transformer) else 0


def heads(model: Model) -> int:
    """Return the number of attention heads of each block, 0 for a network without."""
    return model.heads if isinstance(model, Transformer) else 0


def enter(model: Model, w: Parameters, inputs: Tensor, tap: Tap = untouched) -> Inside:
    """Go from tokens (K, N, P) to the last hidden layer."""
    if isinstance(model, MLP):
        return _enter_mlp(model, w, inputs, tap)
    if isinstance(model, Transformer):
        return _enter_transformer(model, w, inputs, tap)
    raise TypeError(f"the inside of {type(model).__name__} is not known")


def leave(model: Model, w: Parameters, inside: Inside) -> Tensor:
    """Go from the last hidden layer to the logits, (K, N, C)."""
    if isinstance(model, MLP):
        return _affine(inside.neurons, w[f"weight_{model.depth}"], w.get(f"bias_{model.depth}"))
    if isinstance(model, Transformer) and inside.stream is not None:
        names = model.layer(model.layers - 1)
        return model.read_out(w, _written(model, w, names, inside.stream, inside.neurons))
    raise TypeError(f"the inside of {type(model).__name__} is not known")


def forward(model: Model, w: Parameters, inputs: Tensor, tap: Tap = untouched) -> Tensor:
    """Return the logits (K, N, C) of tokens (K, N, P): those of ``model.forward``, but for rounding."""
    return leave(model, w, enter(model, w, inputs, tap))


def _affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.bmm(x, weight) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, weight)


def _rows(table: Tensor, tokens: Tensor) -> Tensor:
    """Return each run's rows of its table (K, S, D) for its tokens (K, …): (K, …, D)."""
    start = torch.arange(len(table), device=table.device).mul_(table.shape[1]).view(-1, *[1] * (tokens.dim() - 1))
    return torch.nn.functional.embedding(tokens + start, table.reshape(-1, table.shape[-1]))


# MLPs -------------------------------------------------------------------------------------------------------------


def _enter_mlp(model: MLP, w: Parameters, inputs: Tensor, tap: Tap) -> Inside:
    x = _first_layer(model, w, tap("operands", _operands(model, w, inputs)))
    for i in range(model.depth):
        x = model.activate(tap(f"before_{i}", x))
        x = tap(f"neurons_{i}", x)
        if i + 1 < model.depth:
            x = _affine(x, w[f"weight_{i + 1}"], w.get(f"bias_{i + 1}"))
    return Inside(x)


def _operands(model: MLP, w: Parameters, inputs: Tensor) -> Tensor:
    """Return what stands for each token: its embedding, its row of the first layer, or its number; (K, N, P, …)."""
    if model.inputs == "real":
        return model.numbers(inputs, w["weight_0"]).unsqueeze(-1)
    if model.inputs == "embedding":
        return _rows(w["embedding"], inputs)
    if model.combine == "sum":
        return _rows(w["weight_0"], inputs)
    positions = inputs.shape[-1]
    shift = torch.arange(positions, device=inputs.device) * (w["weight_0"].shape[1] // positions)
    return _rows(w["weight_0"], inputs + shift)


def _first_layer(model: MLP, w: Parameters, operands: Tensor) -> Tensor:
    if model.inputs == "real" or (model.inputs == "embedding" and model.combine == "concat"):
        return _affine(operands.flatten(2), w["weight_0"], w.get("bias_0"))
    # One after another: a sum over an axis may add in an order that depends on the number of runs.
    x = functools.reduce(torch.add, operands.unbind(2))
    if model.inputs == "embedding":
        return _affine(x, w["weight_0"], w.get("bias_0"))
    return x + w["bias_0"].unsqueeze(1) if model.bias else x


# Transformers -----------------------------------------------------------------------------------------------------


def _enter_transformer(model: Transformer, w: Parameters, inputs: Tensor, tap: Tap) -> Inside:
    tokens = model.tokens(inputs, w["embedding"].shape[1])
    operands = tap("operands", _rows(w["embedding"], tokens))
    places = model.places(w, tokens.shape[-1])
    # Position by position, (K, N, D) each.
    stream = [x + places[:, i : i + 1] for i, x in enumerate(operands.unbind(2))]
    for i in range(model.layers):
        names, last = model.layer(i), i == model.layers - 1
        stream, neurons = _block(model, w, i, stream, tap, last=last)
        if last:
            return Inside(neurons[-1], stream[-1])
        pairs = zip(stream, neurons, strict=True)
        stream = [_written(model, w, names, x, hidden) for x, hidden in pairs]
    raise ValueError("a transformer has at least one layer")


def _block(
    model: Transformer, w: Parameters, i: int, stream: list[Tensor], tap: Tap, *, last: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the stream after attention and the activations of the MLP that reads it, at each position."""
    names = model.layer(i)
    after, neurons = [], []
    keys, values = ([_by_head(model, torch.bmm(x, w[names[kind]])) for x in stream] for kind in ("key", "value"))
    for position in range(len(stream) - 1 if last else 0, len(stream)):
        query = _by_head(model, torch.bmm(stream[position], w[names["query"]]))
        mixed = tap(f"heads_{i}", _attended(model, query, keys[: position + 1], values[: position + 1]))
        x = stream[position] + torch.bmm(mixed.flatten(2), w[names["out"]])
        x = model.normalised(w, names, "attention", x)
        before = tap(f"before_{i}", _affine(x, w[names["mlp_in"]], w[names["mlp_in_bias"]] if model.bias else None))
        after.append(x)
        neurons.append(tap(f"neurons_{i}", torch.relu(before)))
    return after, neurons


def _by_head(model: Transformer, x: Tensor) -> Tensor:
    return torch.unflatten(x, -1, (model.heads, -1))


def _attended(model: Transformer, query: Tensor, keys: list[Tensor], values: list[Tensor]) -> Tensor:
    """Return the mixtures of values (K, N, H, B) that one position attends to."""
    scores = torch.stack([(query * key).sum(-1) for key in keys], dim=-1) / math.sqrt(query.shape[-1])
    attention = model.weighed(scores).split(1, dim=-1)
    mixed: Tensor = attention[0] * values[0]
    for share, value in zip(attention[1:], values[1:], strict=True):
        mixed = mixed + share * value
    return mixed


def _written(model: Transformer, w: Parameters, names: dict[str, str], stream: Tensor, neurons: Tensor) -> Tensor:
    """Return the stream after the MLP has added what its neurons say."""
    added = _affine(neurons, w[names["mlp_out"]], w[names["mlp_out_bias"]] if model.bias else None)
    return model.normalised(w, names, "mlp", stream + added)


# Taking parts away ------------------------------------------------------------------------------------------------


def without_head(layer: int, head: int) -> Tap:
    """Return a tap that silences one attention head of a block."""
    name = f"heads_{layer}"

    def tap(at: str, value: Tensor) -> Tensor:
        if at != name:
            return value
        kept = torch.ones(value.shape[2], dtype=value.dtype, device=value.device)
        kept[head] = 0
        return value * kept.unsqueeze(-1)

    return tap


def without_neurons(layer: int, block: slice) -> Tap:
    """Return a tap that silences neighbouring neurons of a hidden layer."""
    name = f"neurons_{layer}"

    def tap(at: str, value: Tensor) -> Tensor:
        return silenced(value, block) if at == name else value

    return tap


def silenced(neurons: Tensor, block: slice) -> Tensor:
    """Return activations (K, N, M) with those of a block of neurons at zero."""
    neurons = neurons.clone()
    neurons[..., block] = 0
    return neurons


def recorded(names: frozenset[str], into: dict[str, Tensor]) -> Tap:
    """Return a tap that notes what passes under some names; the position that is read out comes last."""

    def tap(at: str, value: Tensor) -> Tensor:
        if at in names:
            into[at] = value
        return value

    return tap
