"""The first layer of networks on tokens: a sum of table rows, one per operand, and how their gradients come back.

Three ways to the same numbers. Where a batch is a grid, a table lies along its axis and its gradient is a sum over the
others. Where gradients are collected, a row is looked up as an embedding bag, and each table row collects the examples
it occurs in, which are sorted once; `LoopedTables` does the same as loops. Otherwise rows are looked up, and gradients
are products with one-hot inputs.

Shapes: K runs, N examples, P positions, S symbols, W width.
"""

from __future__ import annotations

import abc
import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from grokcore.data.batch import Batch
from grokcore.lazy_torch import torch
from grokcore.numerics.loops import Place, floats, integers, loop, place
from grokcore.numerics.matmul import matmul

if TYPE_CHECKING:
    from torch import Tensor


class FirstLayer(abc.ABC):
    """Sums of table rows; `shared` says that all positions have one table."""

    def __init__(self, positions: int, symbols: int, *, shared: bool) -> None:
        self.positions, self.symbols, self.shared = positions, symbols, shared
        self.tables = 1 if shared else positions

    @abc.abstractmethod
    def forward(self, tables: Tensor, bias: Tensor | None, batch: Batch, part: slice) -> Tensor:
        """Return the sums (K, n, W), and the bias (K, W) if there is one, for some of a batch's examples.

        `tables` are (K, tables · S, W).
        """

    @abc.abstractmethod
    def backward(self, delta: Tensor, batch: Batch) -> Tensor:
        """Return the gradient of the tables, (K, tables, S, W), from that of the sums, (K, N, W)."""

    def _table(self, tables: Tensor, position: int) -> Tensor:
        """Return the table (K, S, W) of a position."""
        start = 0 if self.shared else position * self.symbols
        return tables[:, start : start + self.symbols]


class Bags(FirstLayer):
    """Embedding bags there, and bags back."""

    def forward(self, tables: Tensor, bias: Tensor | None, batch: Batch, part: slice) -> Tensor:
        """Look up and add."""
        key = f"bags {part.start} {part.stop}"
        if key not in batch.prepared:
            batch.prepared[key] = self._bags(batch.inputs[:, part])
        flat = tables.reshape(-1, tables.shape[-1])
        found = torch.embedding_bag(flat, *batch.prepared[key])[0].view(len(batch.inputs), -1, tables.shape[-1])
        return found if bias is None else found.add_(bias.unsqueeze(1))

    def backward(self, delta: Tensor, batch: Batch) -> Tensor:
        """Collect, for each table row, the examples it occurs in; those of no weight are left out."""
        runs, _, width = delta.shape
        if "reverse" not in batch.prepared:
            kept = batch.weights.reshape(-1) != 0
            batch.prepared["reverse"] = self._reverse(self._bags(batch.inputs)[0], kept, runs)
        rows, starts = batch.prepared["reverse"]
        collected = torch.embedding_bag(delta.view(-1, width), rows, starts)[0]
        return collected.view(runs, self.tables, self.symbols, width)

    def _bags(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the flat table row of every operand, (K · N · P,), and where each example's bag starts, (K · N,)."""
        runs, examples, positions = inputs.shape
        base = torch.arange(runs, device=inputs.device)[:, None, None] * (self.tables * self.symbols)
        shift = 0 if self.shared else torch.arange(positions, device=inputs.device) * self.symbols
        starts = torch.arange(0, runs * examples * positions, positions, device=inputs.device)
        return (inputs + base + shift).reshape(-1), starts

    def _reverse(self, rows: Tensor, kept: Tensor, runs: int) -> tuple[Tensor, Tensor]:
        """Return, per table row, the examples it occurs in: their flat indices, and where each table row's bag starts.

        `rows` are the flat table rows (K · N · P,); examples outside `kept` (K · N,) are left out.
        """
        example = torch.arange(len(kept), device=rows.device).repeat_interleave(self.positions)
        wanted = kept.repeat_interleave(self.positions)
        rows, order = rows[wanted].sort(stable=True)
        every = torch.arange(runs * self.tables * self.symbols, device=rows.device)
        return example[wanted][order], torch.searchsorted(rows, every)


class LoopedTables:
    """What embedding bags do there and back, of one batch, in one pass each: float32 in a CPU's memory.

    On the way out a sum of rows goes straight through bias and ReLU, on the way back a gradient through the ReLU's
    slope to the table rows of its operands, example by example in order: nothing is sorted, and chunks of examples add
    up to the bits of all at once.
    """

    def __init__(self, batch: Batch, symbols: int, width: int, *, shared: bool) -> None:
        inputs = batch.inputs[:1] if batch.inputs.stride(0) == 0 else batch.inputs
        self.positions, self.width, self.weights = inputs.shape[-1], width, batch.weights
        shift = torch.zeros(1, dtype=torch.long) if shared else torch.arange(self.positions) * symbols
        self.places = (inputs + shift).flatten(1).expand(len(batch.inputs), -1)
        """(K, N · P): where the table row of every operand begins in its run's tables."""

    def forward(self, tables: Tensor, bias: Tensor | None, part: slice, out: Tensor, *, relu: bool) -> Tensor:
        """Write the sums, bias included, of some examples into `out` (K, n, W), cut off at 0 for a ReLU.

        `tables` are (K, tables · S, W), `bias` is (K, W).
        """
        bias = out.new_zeros(1, self.width).expand(len(out), -1) if bias is None else bias
        memory = place(tables), place(self._places(part)), place(bias), place(out)
        _look_up(*memory, *out.shape, self.positions, tables.shape[1], 0.0 if relu else -math.inf)
        return out

    def collect(self, delta: Tensor, after: Tensor, part: slice, total: Tensor, *, relu: bool) -> None:
        """Add the gradients of some examples, those of no weight left out, to those of the tables.

        `delta` (K, n, W) is the gradient at the sums, or `after` a ReLU that gave that; `total` (K, tables · S, W) is
        the sum over the examples before.
        """
        memory = (place(t) for t in (delta, after, self._places(part), self.weights[:, part], total))
        _collect(*memory, *delta.shape, self.positions, total.shape[1], relu)

    def _places(self, part: slice) -> Tensor:
        return self.places[:, part.start * self.positions : part.stop * self.positions]


class OnGrid(FirstLayer):
    """Tables along the axes of a grid."""

    def forward(self, tables: Tensor, bias: Tensor | None, batch: Batch, part: slice) -> Tensor:  # noqa: ARG002
        """Add up tables along their axes."""
        grid = batch.grid
        if grid is None:
            raise ValueError("the batch is no grid")
        runs, width = len(tables), tables.shape[-1]
        along = []
        for position, size in enumerate(grid.sizes):
            sizes = [size if axis == position else 1 for axis in range(len(grid.sizes))]
            own = self._table(tables, position)[:, grid.symbols(position)]
            if position == 0 and bias is not None:
                own = own + bias.unsqueeze(1)  # to a table's few rows, not to all combinations
            along.append(own.reshape(runs, *sizes, width))
        return functools.reduce(torch.add, along).view(runs, grid.examples, width)

    def backward(self, delta: Tensor, batch: Batch) -> Tensor:
        """Add up over the other axes."""
        grid = batch.grid
        if grid is None:
            raise ValueError("the batch is no grid")
        runs, _, width = delta.shape
        cells = delta.view(runs, *grid.sizes, width)
        axes = range(1, len(grid.sizes) + 1)
        sums = [cells.sum([axis for axis in axes if axis != own]) for own in axes]
        if self.shared and len({*zip(grid.starts, grid.sizes, strict=True)}) == 1 and grid.sizes[0] == self.symbols:
            return functools.reduce(torch.add, sums).unsqueeze(1)
        found = delta.new_zeros(runs, self.tables, self.symbols, width)
        for position, own in enumerate(sums):
            found[:, 0 if self.shared else position, grid.symbols(position)] += own
        return found


class OneHot(FirstLayer):
    """Rows looked up, and gradients by products with one-hot inputs: nothing is sorted and no address is shared."""

    def forward(self, tables: Tensor, bias: Tensor | None, batch: Batch, part: slice) -> Tensor:
        """Multiply one-hot inputs with their tables."""
        dtype = tables.dtype
        rows = [
            matmul(batch.one_hot(i, self.symbols, dtype)[:, part], self._table(tables, i))
            for i in range(self.positions)
        ]
        found = functools.reduce(torch.add, rows)
        return found if bias is None else found.add_(bias.unsqueeze(1))

    def backward(self, delta: Tensor, batch: Batch) -> Tensor:
        """Multiply the other way round."""
        found = [matmul(batch.one_hot(i, self.symbols, delta.dtype).mT, delta) for i in range(self.positions)]
        return functools.reduce(torch.add, found).unsqueeze(1) if self.shared else torch.stack(found, dim=1)


def first_layer_for(batch: Batch, positions: int, symbols: int, *, shared: bool) -> FirstLayer:
    """Return the way that suits a batch."""
    if "first layer" not in batch.prepared:
        kind = OnGrid if batch.grid is not None else Bags if batch.collects else OneHot
        batch.prepared["first layer"] = kind(positions, symbols, shared=shared)
    found: FirstLayer = batch.prepared["first layer"]
    return found


@loop
def _look_up(  # noqa: PLR0917
    tables: Place,
    places: Place,
    bias: Place,
    out: Place,
    runs: int,
    examples: int,
    width: int,
    positions: int,
    symbols: int,
    least: Any,
) -> None:
    """Do what `forward` does."""
    floor = np.float32(least)
    for k in range(runs):
        table = floats(tables, k, symbols * width).reshape(symbols, width)
        own = integers(places, k, examples * positions).reshape(examples, positions)
        b = floats(bias, k, width)
        found = floats(out, k, examples * width).reshape(examples, width)
        for n in range(examples):
            if positions == 2:
                first, last = own[n, 0], own[n, 1]
                for i in range(width):
                    x = table[first, i] + table[last, i] + b[i]
                    found[n, i] = floor if x < floor else x
            else:
                for i in range(width):
                    found[n, i] = table[own[n, 0], i]
                for p in range(1, positions):
                    for i in range(width):
                        found[n, i] += table[own[n, p], i]
                for i in range(width):
                    x = found[n, i] + b[i]
                    found[n, i] = floor if x < floor else x


@loop
def _collect(  # noqa: PLR0917
    delta: Place,
    after: Place,
    places: Place,
    weights: Place,
    total: Place,
    runs: int,
    examples: int,
    width: int,
    positions: int,
    symbols: int,
    relu: Any,
) -> None:
    """Do what `collect` does."""
    before = np.empty(width, np.float32)
    for k in range(runs):
        d = floats(delta, k, examples * width).reshape(examples, width)
        a = floats(after, k, examples * width).reshape(examples, width)
        own = integers(places, k, examples * positions).reshape(examples, positions)
        w = floats(weights, k, examples)
        table = floats(total, k, symbols * width).reshape(symbols, width)
        for n in range(examples):
            if w[n] == 0:
                continue
            row = own[n, 0]
            if relu:
                for i in range(width):
                    x = np.float32(0) if a[n, i] <= 0 else d[n, i]
                    before[i] = x
                    table[row, i] += x
            else:
                for i in range(width):
                    x = d[n, i]
                    before[i] = x
                    table[row, i] += x
            for p in range(1, positions):
                row = own[n, p]
                for i in range(width):
                    table[row, i] += before[i]
