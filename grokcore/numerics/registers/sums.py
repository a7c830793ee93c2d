"""Sums that stay in registers: 64 partial ones, of which halves are added until one is left."""

from __future__ import annotations

from typing import Any

from grokcore.numerics.loops import instruction
from grokcore.numerics.registers.writer import LANES, Writer

VECTORS = 4
"""Vectors of partial sums: a sum waits for the one before it, and four can be under way."""


def _add_up(builder: Any, x: Any, count: Any, to: Any) -> None:
    """Write the sum of `count` numbers from the address x on to the address `to`."""
    w = Writer(builder)
    at_once = w.number(VECTORS * LANES)
    left = builder.srem(count, at_once)
    whole = builder.sub(count, left)
    before, head = builder.block, builder.append_basic_block()
    body, after = builder.append_basic_block(), builder.append_basic_block()
    builder.branch(head)
    builder.position_at_end(head)
    done, sums = builder.phi(w.index), [builder.phi(w.vector) for _ in range(VECTORS)]
    builder.cbranch(builder.icmp_signed("<", done, whole), body, after)
    builder.position_at_end(body)
    at = builder.add(x, w.bytes(done))
    more = [builder.fadd(s, w.load(builder.add(at, w.number(4 * LANES * v)))) for v, s in enumerate(sums)]
    following = builder.add(done, at_once)
    builder.branch(head)
    for value, start, next_ in zip((done, *sums), (w.number(0), *[w.zeros] * VECTORS), (following, *more), strict=True):
        value.add_incoming(start, before)
        value.add_incoming(next_, body)
    builder.position_at_end(after)
    rest = builder.add(x, w.bytes(whole))
    a, b, c, d = (
        builder.fadd(s, w.masked_load(rest, v, mask))
        for v, (s, mask) in enumerate(zip(sums, w.masks(left, VECTORS), strict=True))
    )
    total = builder.fadd(builder.fadd(a, c), builder.fadd(b, d))
    for apart in (8, 4, 2, 1):
        total = builder.fadd(total, w.shuffled(total, total, [(i + apart) % LANES for i in range(LANES)]))
    first = builder.extract_element(total, w.ir.Constant(w.lane, 0))
    builder.store(first, w.at(to, w.number(0), w.float))


add_up = instruction(_add_up)
