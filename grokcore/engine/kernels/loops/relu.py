"""ReLU with what stands beside it, in one pass over the memory: a bias added before, a bias's gradient summed after.

Shapes: K runs, N rows, M neurons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from grokcore.numerics.loops import Place, floats, loop, place

if TYPE_CHECKING:
    from torch import Tensor

SOME = 64
"""Rows that are added up before they are added to the others."""


def cut_off_(x: Tensor, bias: Tensor) -> Tensor:
    """Turn x (K, N, M) in place into relu(x + bias), of a bias (K, M)."""
    _cut_off(place(x), place(bias), *x.shape)
    return x


def cut_back_(delta: Tensor, after: Tensor, total: Tensor, *, first: bool) -> None:
    """Turn the gradient after a ReLU that gave `after`, both (K, N, M), in place into that before it.

    Its sum over rows is added to `total` (K, M), or written there if it is the `first`.
    """
    if first:
        total.zero_()
    _cut_back(place(delta), place(after), place(total), *delta.shape)


@loop
def _cut_off(x: Place, bias: Place, runs: int, length: int, width: int) -> None:
    """Do what `cut_off_` does."""
    zero = np.float32(0)
    for k in range(runs):
        b, values = floats(bias, k, width), floats(x, k, length * width)
        for r in range(length):
            row = values[r * width :][:width]
            for i in range(width):
                v = row[i] + b[i]
                row[i] = zero if v < zero else v


@loop
def _cut_back(delta: Place, after: Place, total: Place, runs: int, length: int, width: int) -> None:
    """Do what `cut_back_` does."""
    zero, sums = np.float32(0), np.empty(width, np.float32)
    for k in range(runs):
        found = floats(total, k, width)
        deltas, afters = floats(delta, k, length * width), floats(after, k, length * width)
        for start in range(0, length, SOME):
            sums[:] = 0
            for r in range(start, min(start + SOME, length)):
                d, a = deltas[r * width :][:width], afters[r * width :][:width]
                for i in range(width):
                    v = zero if a[i] <= zero else d[i]
                    d[i] = v
                    sums[i] += v
            for i in range(width):
                found[i] += sums[i]
