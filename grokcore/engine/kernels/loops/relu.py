"""ReLU with what stands beside it, in one pass over the memory: a bias added before, a bias's gradient summed after.

Shapes: K runs, N rows, M neurons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from grokcore.numerics.loops import Rows, loop, rows

if TYPE_CHECKING:
    from torch import Tensor

SOME = 64
"""Rows that are added up before they are added to the others."""


def cut_off_(x: Tensor, bias: Tensor) -> Tensor:
    """Turn x (K, N, M) in place into relu(x + bias), of a bias (K, M)."""
    _cut_off(rows(x.flatten(1)), rows(bias), *x.shape)
    return x


def cut_back_(delta: Tensor, after: Tensor, total: Tensor, *, first: bool) -> None:
    """Turn the gradient after a ReLU that gave `after`, both (K, N, M), in place into that before it.

    Its sum over rows is added to `total` (K, M), or written there if it is the `first`.
    """
    if first:
        total.zero_()
    _cut_back(rows(delta.flatten(1)), rows(after.flatten(1)), rows(total), *delta.shape)


@loop
def _cut_off(x: Rows, bias: Rows, runs: int, length: int, width: int) -> None:
    """Do what `cut_off_` does."""
    zero = np.float32(0)
    for k in range(runs):
        b = bias[0][k * bias[1] :][:width]
        for r in range(length):
            row = x[0][k * x[1] + r * width :][:width]
            for i in range(width):
                v = row[i] + b[i]
                row[i] = zero if v < zero else v


@loop
def _cut_back(delta: Rows, after: Rows, total: Rows, runs: int, length: int, width: int) -> None:
    """Do what `cut_back_` does."""
    zero, sums = np.float32(0), np.empty(width, np.float32)
    for k in range(runs):
        found = total[0][k * total[1] :][:width]
        for start in range(0, length, SOME):
            sums[:] = 0
            for r in range(start, min(start + SOME, length)):
                d, a = delta[0][k * delta[1] + r * width :][:width], after[0][k * after[1] + r * width :][:width]
                for i in range(width):
                    v = zero if a[i] <= zero else d[i]
                    d[i] = v
                    sums[i] += v
            for i in range(width):
                found[i] += sums[i]
