"""Products of stacked matrices in tiles that stay in registers, a whole stack of any size and any layout in one call.

What is multiplied is read where it lies. Only b, whose rows must be vectors, is copied where it lies transposed, into
panels of up to three vectors. Each run's product is computed by itself. Sums over the inner index are in parts of 256,
one after the other in each part, whatever the other sizes are.

Shapes: K runs, N rows, W inner width, M columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from grokcore.numerics.loops import floats, loop, part
from grokcore.numerics.registers.tiles import one_vector, three_vectors, two_vectors
from grokcore.numerics.transposing import transpose

if TYPE_CHECKING:
    from torch import Tensor

Matrices = tuple[int, int, int, int]
"""Where stacked matrices lie: the address of the first, and how many elements runs, rows and columns are apart."""

INNER = 256
"""Multiplications that are added up before they are added to the others: a panel of b fills the nearest cache."""
ROWS = 192
"""Rows of a that are gone through with all of b, so that they stay in the second cache."""


def tiled_matmul(a: Tensor, b: Tensor, plus: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """Return a · b + `plus`, (K, N, M), of float32 in a CPU's memory: a (K, N, W ≥ 1) and b (K, W, M).

    `plus` is broadcast. The result is in `out` (K, N, M), which may be `plus` too, or in new memory.
    """
    (runs, rows, inner), columns = a.shape, b.shape[2]
    if out is None:
        out = a.new_empty(runs, rows, columns)
    if out.stride(2) != 1 and columns != 1:
        if out.stride(1) != 1:
            return out.copy_(tiled_matmul(a, b, plus))
        return tiled_matmul(b.mT, a.mT, None if plus is None else plus.mT, out.mT).mT
    if 1 not in _matrices(b)[2:]:
        b = b.contiguous()
    added = (0, 0, 0, 0) if plus is None else _matrices(plus if plus is out else plus.expand(out.shape))
    _multiply(_matrices(a), _matrices(b), added, _matrices(out), runs, rows, inner, columns)
    return out


def _matrices(x: Tensor) -> Matrices:
    runs, rows, columns = x.stride()
    return x.data_ptr(), runs, rows if x.shape[1] > 1 else 1, columns if x.shape[2] > 1 else 1


@part
def _fill(plus: Matrices, out: Matrices, k: int, rows: int, columns: int) -> None:
    """Write the run's `plus` into `out`."""
    for r in range(rows):
        one = floats((plus[0] + 4 * k * plus[1], plus[2]), r, 1 + (columns - 1) * plus[3])
        to = floats((out[0] + 4 * k * out[1], out[2]), r, columns)
        for i in range(columns):
            to[i] = one[i * plus[3]]


@loop
def _multiply(  # noqa: PLR0917
    a: Matrices, b: Matrices, plus: Matrices, out: Matrices, runs: int, rows: int, inner: int, columns: int
) -> None:
    """Do what `tiled_matmul` does, into rows of `out` that lie in one piece; an address of 0: there is no `plus`."""
    vectors = (columns + 15) // 16
    panels = (vectors + 2) // 3
    lies_right = b[3] == 1
    memory = np.empty(1 if lies_right else min(inner, INNER) * vectors * 16 + 16, np.float32)
    first = (memory.ctypes.data + 63) // 64 * 64
    for k in range(runs):
        if plus[0] != 0 and plus[0] != out[0]:
            _fill(plus, out, k, rows, columns)
        for begin in range(0, inner, INNER):
            length = min(INNER, inner - begin)
            adds = 1 if plus[0] != 0 or begin > 0 else 0
            from_b = b[0] + 4 * (k * b[1] + begin * b[2])
            for start in range(0, rows, ROWS):
                done, turned = 0, first
                for panel in range(panels):
                    wide = (vectors - done + panels - panel - 1) // (panels - panel)
                    width, left = 16 * wide, min(16 * wide, columns - 16 * done)
                    if start == 0 and not lies_right:
                        transpose((from_b + 64 * done * b[3], b[3]), left, length, (turned, width))
                    at, apart = (from_b + 64 * done, b[2]) if lies_right else (turned, width)
                    for r in range(start, min(start + ROWS, rows), 8):
                        from_a = a[0] + 4 * (k * a[1] + r * a[2] + begin * a[3])
                        to = out[0] + 4 * (k * out[1] + r * out[2] + 16 * done)
                        tile = (from_a, a[2], a[3], at, apart, length, to, out[2], min(8, rows - r), left, adds)
                        if wide == 3:
                            three_vectors(tile)
                        elif wide == 2:
                            two_vectors(tile)
                        else:
                            one_vector(tile)
                    done, turned = done + wide, turned + 4 * length * width
    memory[0] = 0  # or it would be freed where it is last named
