"""Tiles of a matrix product that stay in a processor's registers, in LLVM's own language: what loops multiply with.

A compiler does not keep a tile of sums in registers by itself, so that its products run at a tenth of the processor's
peak. Here 8 rows times 1, 2 or 3 vectors of sums have a register each, and a vector of b meets eight numbers of a.

Every sum is a chain of fused multiplications and additions in the order of the inner index, from 0 on: an element's
bits depend on its row of a and its column of b, and on nothing beside them.
"""

from __future__ import annotations

import functools
from typing import Any

from grokcore.numerics.loops import instruction
from grokcore.numerics.registers.writer import LANES, Writer

ROWS = 8
"""Rows of a tile."""
VECTORS = 3
"""Vectors side by side in a tile, at most: 24 registers of sums, 3 of b, and 5 to spare."""


def _tile(  # noqa: PLR0917
    vectors: int,
    builder: Any,
    a: Any,
    a_row: Any,
    a_inner: Any,
    b: Any,
    b_inner: Any,
    inner: Any,
    out: Any,
    out_row: Any,
    rows: Any,
    columns: Any,
    adds: Any,
) -> None:
    """Write out = a · b, or add it to what is in `out` if `adds` is not 0, of `rows` ≤ 8 rows, inner ≥ 1.

    a, b and out are addresses, with strides in elements. Columns are one after the other; no others are touched.
    """
    w = Writer(builder)
    masks = w.masks(columns, vectors)
    offsets = w.row_offsets(a_row, rows, ROWS)
    before, body, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(body)
    builder.position_at_end(body)
    count, a_at, b_at = (builder.phi(w.index) for _ in range(3))
    sums = [[builder.phi(w.vector) for _ in range(vectors)] for _ in range(ROWS)]
    beside = [w.masked_load(b_at, v, mask) for v, mask in enumerate(masks)]
    added = []
    for r in range(ROWS):
        x = w.everywhere(builder.load(w.at(a_at, offsets[r], w.float)), w.vector)
        added.append([w.fused(x, y, s) for y, s in zip(beside, sums[r], strict=True)])
    steps = (w.number(1), w.bytes(a_inner), w.bytes(b_inner))
    following = [builder.add(value, step) for value, step in zip((count, a_at, b_at), steps, strict=True)]
    for value, start, next_ in zip((count, a_at, b_at), (w.number(0), a, b), following, strict=True):
        value.add_incoming(start, before)
        value.add_incoming(next_, body)
    for row, more in zip(sums, added, strict=True):
        for value, next_ in zip(row, more, strict=True):
            value.add_incoming(w.zeros, before)
            value.add_incoming(next_, body)
    builder.cbranch(builder.icmp_signed("<", following[0], inner), body, after)
    builder.position_at_end(after)
    is_added = builder.icmp_signed("!=", adds, w.number(0))
    for r, row in enumerate(added):
        with builder.if_then(builder.icmp_signed("<", w.number(r), rows)):
            begin = builder.add(out, builder.mul(w.bytes(out_row), w.number(r)))
            for v, (value, mask) in enumerate(zip(row, masks, strict=True)):
                with builder.if_else(is_added) as (there, alone):
                    with there:
                        w.masked_store(builder.fadd(value, w.masked_load(begin, v, mask)), begin, v, mask)
                    with alone:
                        w.masked_store(value, begin, v, mask)


def _turn(builder: Any, source: Any, source_row: Any, target: Any, target_row: Any) -> None:
    """Write the transpose of 16 × 16 numbers."""
    w = Writer(builder)
    block = [w.load(builder.add(source, builder.mul(w.bytes(source_row), w.number(j)))) for j in range(LANES)]
    for j, row in enumerate(w.turned(block)):
        w.store(row, builder.add(target, builder.mul(w.bytes(target_row), w.number(j))))


def _turn_some(
    builder: Any, source: Any, source_row: Any, target: Any, target_row: Any, rows: Any, columns: Any
) -> None:
    """Do the same with fewer rows or columns."""
    w = Writer(builder)
    (loaded,), (stored,) = w.masks(columns, 1), w.masks(rows, 1)
    offsets = w.row_offsets(source_row, rows, LANES)
    block = [w.masked_load(builder.add(source, offset), 0, loaded) for offset in offsets]
    for j, row in enumerate(w.turned(block)):
        with builder.if_then(builder.icmp_signed("<", w.number(j), columns)):
            w.masked_store(row, builder.add(target, builder.mul(w.bytes(target_row), w.number(j))), 0, stored)


one_vector, two_vectors, three_vectors = (instruction(functools.partial(_tile, n)) for n in range(1, VECTORS + 1))
turn, turn_some = instruction(_turn), instruction(_turn_some)
