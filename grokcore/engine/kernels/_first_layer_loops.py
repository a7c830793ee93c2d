"""The first layer as loops: table rows looked up and added with the bias and a ReLU, and gradients collected at once.

What embedding bags do there and back (`Bags`, the specification) is read and written once: on the way out a sum of rows
goes straight through bias and activation, on the way back a gradient through the activation's slope to the table rows
of its operands, example by example in order. So nothing is sorted, and chunks of examples add up to the same bits.

Shapes: K runs, N examples, P positions, S symbols, W width.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from grokcore.data.batch import Batch
from grokcore.lazy_torch import torch
from grokcore.numerics.loops import Rows, loop, rows

if TYPE_CHECKING:
    from torch import Tensor


class LoopedTables:
    """Sums of table rows, there and back, of one batch; `shared` says that all positions have one table."""

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
        memory = rows(tables.flatten(1)), rows(self._places(part)), rows(bias), rows(out.flatten(1))
        _look_up(*memory, len(out), out.shape[1], self.positions, self.width, 0.0 if relu else -math.inf)
        return out

    def collect(self, delta: Tensor, after: Tensor, part: slice, total: Tensor, *, relu: bool) -> None:
        """Add the gradients of some examples, those of no weight left out, to those of the tables.

        `delta` (K, n, W) is the gradient at the sums, or `after` a ReLU that gave that; `total` (K, tables · S, W) is
        the sum over the examples before.
        """
        weights = rows(self.weights[:, part])
        memory = (rows(delta.flatten(1)), rows(after.flatten(1)), rows(self._places(part)), weights)
        sizes = (len(delta), delta.shape[1], self.positions, self.width)
        _collect(*memory, rows(total.flatten(1)), *sizes, relu)

    def _places(self, part: slice) -> Tensor:
        return self.places[:, part.start * self.positions : part.stop * self.positions]


@loop
def _look_up(  # noqa: PLR0917
    tables: Rows, places: Rows, bias: Rows, out: Rows, runs: int, examples: int, positions: int, width: int, least: Any
) -> None:
    """Do what `forward` does."""
    floor = np.float32(least)
    length = (len(tables[0]) - (runs - 1) * tables[1]) // width
    for k in range(runs):
        table = tables[0][k * tables[1] : k * tables[1] + length * width].reshape(length, width)
        own = places[0][k * places[1] : k * places[1] + examples * positions].reshape(examples, positions)
        b = bias[0][k * bias[1] : k * bias[1] + width]
        found = out[0][k * out[1] : k * out[1] + examples * width].reshape(examples, width)
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
    delta: Rows,
    after: Rows,
    places: Rows,
    weights: Rows,
    total: Rows,
    runs: int,
    examples: int,
    positions: int,
    width: int,
    relu: Any,
) -> None:
    """Do what `collect` does."""
    before = np.empty(width, np.float32)
    length = (len(total[0]) - (runs - 1) * total[1]) // width
    for k in range(runs):
        d = delta[0][k * delta[1] : k * delta[1] + examples * width].reshape(examples, width)
        a = after[0][k * after[1] : k * after[1] + examples * width].reshape(examples, width)
        own = places[0][k * places[1] : k * places[1] + examples * positions].reshape(examples, positions)
        w = weights[0][k * weights[1] : k * weights[1] + examples]
        table = total[0][k * total[1] : k * total[1] + length * width].reshape(length, width)
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
