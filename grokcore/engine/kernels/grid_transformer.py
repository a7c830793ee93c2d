"""The kernel of transformers where examples are a grid: every state lies along the axes of the operands it depends on.

A position's state depends on the operands up to it alone (grokcore/engine/kernels/_prefixes.py says why): after one of
two operands it is a table along one axis. States of all positions lie side by side in one tensor, so that each matrix
takes one product; what attends and what it attends to meet by broadcasting (_grid_attention.py). In the first layer,
where states are tables of tokens, all scores are one product of queries with keys. In the last layer only the position
that is read out has a query, an MLP and logits. Kernels are few, and their number depends on neither runs nor symbols.

Shapes: K runs, N examples, P operands, J positions, D width, H heads, B = D/H, M MLP width, V vocabulary, R rows of all
positions' states together.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grokcore.data.batch import Batch, Grid
from grokcore.engine.kernels._grid_attention import Mixture, mix, scores_back, sum_into
from grokcore.engine.kernels._norms import Norm, normalise, normalise_back
from grokcore.engine.kernels._unembedding import unembed, unembed_back
from grokcore.engine.kernels.base import Kernel, Serves
from grokcore.engine.kernels.prefix_transformer import PrefixKernel
from grokcore.lazy_torch import torch
from grokcore.losses.base import Loss
from grokcore.models.base import Parameters
from grokcore.models.transformer import Transformer
from grokcore.numerics.matmul import matmul, matmul_into
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class _Rows:
    """Where each position's state lies in a tensor (K, R, D), and along which axes of the grid."""

    shapes: tuple[tuple[int, ...], ...]
    """The size of each axis, position by position; 1 where the state does not depend on the operand."""

    @functools.cached_property
    def places(self) -> tuple[slice, ...]:
        """Return the rows of each position."""
        ends = list(itertools.accumulate(math.prod(shape) for shape in self.shapes))
        return tuple(slice(start, end) for start, end in zip([0, *ends], ends, strict=False))

    def of(self, values: Tensor, position: int) -> Tensor:
        """Return the state of a position, (K, …, D), of values (K, R, D)."""
        return torch.unflatten(values[:, self.places[position]], 1, self.shapes[position])


@dataclass(frozen=True)
class _Group:
    """Neighbouring positions that have read the same operands, and attend together."""

    positions: tuple[int, ...]
    """The positions, A of them."""
    shape: tuple[int, ...]
    """The axes that their states have in common."""
    rows: slice
    """Where their states lie side by side among those of all positions that attend."""

    @property
    def seen(self) -> int:
        """Number of positions J that the last of them sees."""
        return self.positions[-1] + 1

    def of(self, values: Tensor) -> Tensor:
        """Return their states (K, A, …, D) of values (K, R'', D)."""
        return torch.unflatten(values[:, self.rows], 1, (len(self.positions), *self.shape))


@dataclass(frozen=True)
class _Layer:
    """What the backward pass needs of a layer."""

    entered: Tensor
    """(K, R, D): the states before."""
    query: Tensor
    """(K, R', D): the queries of the positions that attend, over √B."""
    key: Tensor
    """(K, R, D)."""
    mixtures: list[Mixture]
    """Their attention, group by group."""
    mixed: Tensor
    """(K, R'', D): mixtures of values."""
    middle: Tensor
    """(K, R'', D): what enters the MLP."""
    hidden: Tensor
    """(K, R'', M): the MLP's activations."""
    norms: tuple[Norm | None, Norm | None]
    """After attention, and after the MLP."""


class GridKernel(Kernel):
    """Stacked losses and gradients of a transformer on a grid."""

    serves = Serves(Transformer, PrefixKernel.serves.fields, layouts=("full_table",))

    @classmethod
    def fits(cls, task: Task) -> bool:
        """Say that the task's table is a grid."""
        return Grid.of(task.table) is not None

    def __init__(self, model: Transformer, task: Task, loss: Loss, chunk_elements: int | None = None) -> None:
        super().__init__(model, task, loss, chunk_elements)
        grid = Grid.of(task.table)
        if grid is None:
            raise ValueError("the task's table is no grid")
        self.net, self.grid, self.head = model, grid, model.width // model.heads
        operands, self.positions = len(grid.sizes), model.length(task)
        # For each position: how many operands have been read there, and which of them it is (None: "op" and "=").
        step = 2 if model.operator_token else 1
        at = {i * step: i for i in range(operands)}
        self.operand = [at.get(position) for position in range(self.positions)]
        read = [min(position // step + 1, operands) for position in range(self.positions)]
        self.entries = _Rows(tuple(self._axes([] if own is None else [own]) for own in self.operand))
        self.states = _Rows(tuple(self._axes(range(count)) for count in read))
        self.token = [model.vocabulary(task) - 2] * self.positions
        self.token[-1] = model.vocabulary(task) - 1
        self._masks: dict[tuple[tuple[int, ...], torch.device], Tensor] = {}
        self.every = self._groups(read, 0)
        self.last = self._groups(read, self.positions - 1)

    def _axes(self, operands: Collection[int]) -> tuple[int, ...]:
        return tuple(size if axis in operands else 1 for axis, size in enumerate(self.grid.sizes))

    def _groups(self, read: list[int], first: int) -> list[_Group]:
        """Return the positions from `first` on, those that have read the same together."""
        found, start = [], 0
        for count, some in itertools.groupby(range(first, self.positions), key=lambda position: read[position]):
            positions, shape = tuple(some), self._axes(range(count))
            stop = start + len(positions) * math.prod(shape)
            found.append(_Group(positions, shape, slice(start, stop)))
            start = stop
        return found

    def logits(self, parameters: Parameters, batch: Batch) -> Tensor:  # noqa: ARG002 - all examples, as they lie
        """Return the logits (K, N, V) of all examples."""
        x = self._enter(parameters)
        for i in range(self.net.layers):
            x = self._forward(parameters, i, x)[0]
        return unembed(parameters, x, tied=self.net.tied)

    def gradients(self, parameters: Parameters, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Go forward and back, layer by layer; see `Kernel.gradients`."""
        w, net = parameters, self.net
        x, layers = self._enter(w), []
        for i in range(net.layers):
            x, layer = self._forward(w, i, x)
            layers.append(layer)
        at_logits = self.output_gradient(unembed(w, x, tied=net.tied), batch)
        delta = unembed_back(w, x, at_logits, out, tied=net.tied)
        for i in reversed(range(net.layers)):
            delta = self._backward(w, i, layers[i], delta, out)
        self._enter_gradient(delta, out)

    # What enters ------------------------------------------------------------------------------------------------------

    def _symbols(self, position: int) -> slice:
        """Return the rows of the embedding that can stand at a position."""
        operand = self.operand[position]
        if operand is None:
            return slice(self.token[position], self.token[position] + 1)
        return self.grid.symbols(operand)

    def _enter(self, w: Parameters) -> Tensor:
        """Return what enters the first layer, (K, R, D): a row for each symbol that can stand at each position."""
        rows = [w["embedding"][:, self._symbols(i)] for i in range(self.positions)]
        if self.net.positions == "none":
            return torch.cat(rows, dim=1)
        places = self.net.places(w, self.positions)
        return torch.cat([row + places[:, i : i + 1] for i, row in enumerate(rows)], dim=1)

    def _enter_gradient(self, delta: Tensor, out: Mapping[str, Tensor]) -> None:
        for i, where in enumerate(self.entries.places):
            part = delta[:, where]
            out["embedding"][:, self._symbols(i)] += part
            if "positions" in out:
                torch.sum(part, 1, out=out["positions"][:, i])

    # A layer, forward -------------------------------------------------------------------------------------------------

    def _layout(self, i: int) -> tuple[_Rows, list[_Group], int]:
        """Return the rows before layer i, the groups of positions that attend in it, and their first row before it."""
        before = self.states if i else self.entries
        groups = self.last if i == self.net.layers - 1 else self.every
        return before, groups, before.places[groups[0].positions[0]].start

    def _by_head(self, x: Tensor) -> Tensor:
        return torch.unflatten(x, -1, (self.net.heads, self.head))

    def _memories(self, before: _Rows, rows: Tensor) -> list[Tensor]:
        """Return what each position offers to be attended to, (K, 1, …, H, B) each."""
        return [self._by_head(before.of(rows, j)).unsqueeze(1) for j in range(self.positions)]

    def _forward(self, w: Parameters, i: int, x: Tensor) -> tuple[Tensor, _Layer]:
        """Return the states after layer i of the positions that are wanted, and what the backward pass needs."""
        net, names = self.net, self.net.layer(i)
        before, groups, begin = self._layout(i)
        key, value = matmul(x, w[names["key"]]), matmul(x, w[names["value"]])
        query = matmul(x[:, begin:], w[names["query"]]).div_(math.sqrt(self.head))
        mixed, mixtures = x.new_empty(len(x), groups[-1].rows.stop, net.width), []
        values = self._memories(before, value)
        for group, scores in zip(groups, self._scores(i, query, key), strict=True):
            there, masked = self._by_head(group.of(mixed)), self._masked(group, x.device)
            mixtures.append(mix(net.attention_rate, scores, masked, values[: group.seen], there))
        attended = matmul(mixed, w[names["out"]])
        if i:
            attended += x[:, begin:]
        else:
            for group in groups:
                for a, position in enumerate(group.positions):
                    group.of(attended)[:, a].add_(before.of(x, position))
        middle, first = normalise(net, w, names, "attention", attended)
        bias = w[names["mlp_in_bias"]].unsqueeze(1) if net.bias else None
        hidden = matmul(middle, w[names["mlp_in"]], bias).relu_()
        added = matmul(hidden, w[names["mlp_out"]], middle)
        if net.bias:
            added += w[names["mlp_out_bias"]].unsqueeze(1)
        result, second = normalise(net, w, names, "mlp", added)
        return result, _Layer(x, query, key, mixtures, mixed, middle, hidden, (first, second))

    def _masked(self, group: _Group, device: torch.device) -> Tensor | None:
        """Return who of a group does not see what: (1, J, A, 1, …, 1); None where everyone sees all."""
        if len(group.positions) == 1:
            return None
        if (group.positions, device) not in self._masks:
            seen = torch.arange(group.seen, device=device).unsqueeze(1)
            own = torch.arange(group.positions[0], group.seen, device=device)
            mask = (seen > own).view(1, group.seen, len(group.positions), *[1] * (len(group.shape) + 1))
            self._masks[group.positions, device] = mask
        return self._masks[group.positions, device]

    def _scores(self, i: int, query: Tensor, key: Tensor) -> list[Tensor]:
        """Return the scores (K, J, A, …, H) of each group of positions that attend."""
        before, groups, begin = self._layout(i)
        if i:
            keys = self._memories(before, key)
            own = [self._by_head(group.of(query)) for group in groups]
            return [
                torch.stack([(queries * other).sum(-1) for other in keys[: group.seen]], dim=1)
                for group, queries in zip(groups, own, strict=True)
            ]
        # In the first layer each score is an element of one product: all queries with all keys.
        queries, keys_by_head = (self._heads_outermost(rows) for rows in (query, key))
        every = torch.bmm(queries, keys_by_head.mT).unflatten(0, (-1, self.net.heads))
        found = []
        for group in groups:
            shape = (len(query), *group.shape, self.net.heads)
            blocks = [
                self._along(every, begin, position, j).expand(shape)
                for j in range(group.seen)
                for position in group.positions
            ]
            found.append(torch.stack(blocks, dim=1).unflatten(1, (group.seen, len(group.positions))))
        return found

    def _heads_outermost(self, rows: Tensor) -> Tensor:
        """Return (K, R, D) as (K · H, R, B)."""
        return self._by_head(rows).transpose(1, 2).flatten(0, 1)

    def _block(self, every: Tensor, begin: int, position: int, other: int) -> Tensor:
        """Return the scores (K, H, rows, rows) of two positions' tokens, the lower operand's rows first."""
        places = self.entries.places
        rows = every[:, :, places[position].start - begin : places[position].stop - begin, places[other]]
        own, theirs = self.operand[position], self.operand[other]
        if own is not None and own == theirs:
            return rows.diagonal(dim1=2, dim2=3).unsqueeze(-1)  # a symbol's query meets its own key
        turned = own is not None and theirs is not None and own > theirs
        return rows.mT if turned else rows

    def _axes_of(self, position: int, other: int) -> tuple[int, ...]:
        """Return the axes along which the scores of two positions' tokens lie."""
        return self._axes([o for o in (self.operand[position], self.operand[other]) if o is not None])

    def _along(self, every: Tensor, begin: int, position: int, other: int) -> Tensor:
        """Return the scores of two positions' tokens along the axes of their operands: (K, …, H)."""
        block = self._block(every, begin, position, other).permute(0, 2, 3, 1)
        return block.reshape(len(block), *self._axes_of(position, other), self.net.heads)

    # A layer, backward ------------------------------------------------------------------------------------------------

    def _backward(self, w: Parameters, i: int, layer: _Layer, delta: Tensor, out: Mapping[str, Tensor]) -> Tensor:
        """Turn the gradient after layer i into that before it; write those of its parameters into `out`."""
        net, names = self.net, self.net.layer(i)
        delta = normalise_back(net, w, names, "mlp", layer.norms[1], delta, out)
        delta = self._mlp_back(w, names, layer, delta, out)
        delta = normalise_back(net, w, names, "attention", layer.norms[0], delta, out)
        matmul_into(out[names["out"]], layer.mixed.mT, delta)
        at_mixed = matmul(delta, w[names["out"]].mT)
        _, _, begin = self._layout(i)
        back = self._attention_back if i else self._attention_of_tokens_back
        gradients, entered = back(i, layer, at_mixed), self._entered_gradient(i, layer, delta)
        for name, gradient, rows in zip(("query", "key", "value"), gradients, (begin, 0, 0), strict=True):
            matmul_into(out[names[name]], layer.entered[:, rows:].mT, gradient)
            matmul_into(entered[:, rows:], gradient, w[names[name]].mT, entered[:, rows:])
        return entered

    def _mlp_back(
        self, w: Parameters, names: Mapping[str, str], layer: _Layer, delta: Tensor, out: Mapping[str, Tensor]
    ) -> Tensor:
        """Turn the gradient after the MLP was added into that before it, residual stream included."""
        matmul_into(out[names["mlp_out"]], layer.hidden.mT, delta)
        inner = matmul(delta, w[names["mlp_out"]].mT)
        torch.ops.aten.threshold_backward.grad_input(inner, layer.hidden, 0, grad_input=inner)
        matmul_into(out[names["mlp_in"]], layer.middle.mT, inner)
        if self.net.bias:
            torch.sum(delta, 1, out=out[names["mlp_out_bias"]])
            torch.sum(inner, 1, out=out[names["mlp_in_bias"]])
        return matmul(inner, w[names["mlp_in"]].mT, delta)

    def _entered_gradient(self, i: int, layer: _Layer, delta: Tensor) -> Tensor:
        """Return the gradient at what entered layer i, past the residual stream, (K, R, D)."""
        before, groups, begin = self._layout(i)
        entered = torch.empty_like(layer.entered)
        if begin:
            entered[:, :begin].zero_()
        if i:
            entered[:, begin:] = delta
            return entered
        for group in groups:
            for a, position in enumerate(group.positions):
                sum_into(before.of(entered, position), group.of(delta)[:, a], first=True)
        return entered

    def _attention_back(self, i: int, layer: _Layer, at_mixed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of a later layer's queries (K, R', D), keys and values (K, R, D)."""
        before, groups, _ = self._layout(i)
        runs, rows, width = layer.key.shape
        query, both = torch.empty_like(layer.query), layer.key.new_empty(runs, rows, 2, width)
        totals = [
            torch.unflatten(before.of(both.flatten(2), j), -1, (2, self.net.heads, self.head)).unsqueeze(1)
            for j in range(self.positions)
        ]
        keys, touched = self._memories(before, layer.key), set[int]()
        for group, seen in zip(groups, layer.mixtures, strict=True):
            delta, queries = self._by_head(group.of(at_mixed)), self._by_head(group.of(layer.query))
            at_scores = scores_back(seen, delta)
            there = self._by_head(group.of(query))
            torch.mul(at_scores[:, 0].unsqueeze(-1), keys[0], out=there)
            # A key gets what is due to it of the query, a value of the gradient: two of a kind, side by side.
            shares = torch.stack([at_scores, seen.attention], dim=-2).unsqueeze(-1)
            due = torch.stack([queries, delta], dim=-3)
            for j in range(group.seen):
                if j:
                    there.addcmul_(at_scores[:, j].unsqueeze(-1), keys[j])
                sum_into(totals[j], shares[:, j] * due, first=j not in touched)
                touched.add(j)
        return query.div_(math.sqrt(self.head)), both[:, :, 0], both[:, :, 1]

    def _attention_of_tokens_back(self, i: int, layer: _Layer, at_mixed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the same of the first layer, where the scores are one product of queries and keys."""
        before, groups, begin = self._layout(i)
        value, touched = torch.empty_like(layer.key), set[int]()
        totals = self._memories(before, value)
        every = value.new_zeros(len(value), self.net.heads, layer.query.shape[1], value.shape[1])
        for group, seen in zip(groups, layer.mixtures, strict=True):
            delta = self._by_head(group.of(at_mixed))
            at_scores = scores_back(seen, delta)
            for j in range(group.seen):
                sum_into(totals[j], seen.attention[:, j].unsqueeze(-1) * delta, first=j not in touched)
                touched.add(j)
                for a, position in enumerate(group.positions):
                    if j <= position:
                        self._put(every, begin, position, j, at_scores[:, j, a])
        blocks = every.flatten(0, 1)
        queries, keys = self._heads_outermost(layer.query), self._heads_outermost(layer.key)
        at_query, at_key = (
            rows.unflatten(0, (-1, self.net.heads)).transpose(1, 2).flatten(2)
            for rows in (torch.bmm(blocks, keys), torch.bmm(blocks.mT, queries))
        )
        return at_query.div_(math.sqrt(self.head)), at_key, value

    def _put(self, every: Tensor, begin: int, position: int, other: int, at_scores: Tensor) -> None:
        """Write the gradients at two positions' scores (K, …, H), summed over the axes that neither has."""
        block = self._block(every, begin, position, other).movedim(1, -1)
        axes = self._axes_of(position, other)
        # The block's two axes of rows are those of `axes` that are no 1, or some of size 1 more.
        there = block.as_strided((len(block), *axes, block.shape[-1]), self._strides(block, axes))
        sum_into(there, at_scores, first=True)

    def _strides(self, block: Tensor, axes: tuple[int, ...]) -> tuple[int, ...]:
        """Return the strides of a block (K, rows, rows, H) seen along the axes of the grid."""
        rows = [stride for size, stride in zip(block.shape[1:3], block.stride()[1:3], strict=True) if size != 1]
        strides = iter(rows)
        return (block.stride(0), *(next(strides) if size != 1 else 1 for size in axes), block.stride(-1))
