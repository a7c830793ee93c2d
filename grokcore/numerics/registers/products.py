"""Products of two rows, head by head, that are added up in registers: eight partial sums each, added in halves."""

from __future__ import annotations

from typing import Any

from grokcore.numerics.loops import instruction
from grokcore.numerics.registers.writer import Writer

LANES = 8
"""Partial sums; heads are often no wider than a few times that."""


def _dots(builder: Any, x: Any, y: Any, heads: Any, head: Any, to: Any) -> None:
    """Write Σ x · y over `head` numbers, of each of some heads one after the other, to the address `to` on."""
    w = Writer(builder, LANES)
    rest = builder.srem(head, w.number(LANES))
    whole = builder.sub(head, rest)

    def of_a_head(h: Any) -> None:
        begin = w.bytes(builder.mul(h, head))
        a, b = builder.add(x, begin), builder.add(y, begin)

        def eight(i: Any, total: Any) -> Any:
            at = w.bytes(i)
            return builder.fadd(total, w.rounded(builder.fmul(w.load(builder.add(a, at)), w.load(builder.add(b, at)))))

        def one(i: Any, total: Any) -> Any:
            numbers = (builder.load(w.at(each, w.bytes(i), w.float)) for each in (a, b))
            return builder.fadd(total, w.rounded(builder.fmul(*numbers)))

        first = w.ir.Constant(w.lane, 0)
        sums = w.repeated(w.number(0), whole, LANES, w.zeros, eight)
        last = w.repeated(whole, head, 1, builder.extract_element(sums, first), one)
        sums = builder.insert_element(sums, last, first)
        for apart in (4, 2, 1):
            sums = builder.fadd(sums, w.shuffled(sums, sums, [(i + apart) % LANES for i in range(LANES)]))
        builder.store(builder.extract_element(sums, first), w.at(to, w.bytes(h), w.float))

    w.repeated(w.number(0), heads, 1, None, lambda h, _: of_a_head(h))


dots = instruction(_dots)
