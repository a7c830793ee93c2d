"""What the loops of a softmax do with 64 examples, class after class, while sums and maxima stay in registers.

Logits lie with the classes outermost: z is the address of the first class of the first example, classes are `row`
elements apart, and `count` says how many of the 64 examples there are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from grokcore.numerics.loops import instruction
from grokcore.numerics.registers.exponential import exponential
from grokcore.numerics.registers.writer import LANES, Writer

VECTORS = 4
"""Vectors side by side."""
EXAMPLES = VECTORS * LANES


def _class_by_class(
    w: Writer, z: Any, row: Any, classes: Any, carried: list[Any], body: Callable[[Any, Any, list[Any]], list[Any]]
) -> list[Any]:
    """Write a loop over classes: `body` is given an address, a class, and what it returned at the one before."""
    builder = w.builder
    before, inside, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(inside)
    builder.position_at_end(inside)
    at, number, *values = (builder.phi(value.type) for value in (z, w.number(0), *carried))
    found = body(at, number, values)
    following = builder.add(number, w.number(1))
    nexts = (builder.add(at, w.bytes(row)), following, *found)
    for value, start, next_ in zip((at, number, *values), (z, w.number(0), *carried), nexts, strict=True):
        value.add_incoming(start, before)
        value.add_incoming(next_, inside)
    builder.cbranch(builder.icmp_signed("<", following, classes), inside, after)
    builder.position_at_end(after)
    return found


def _biased(w: Writer, at: Any, number: Any, bias: Any, scale: Any, masks: list[Any]) -> list[Any]:
    """Return a class's logits, biased and scaled."""
    own, by = w.spread(w.builder.add(bias, w.bytes(number))), w.spread(scale)
    logits = (w.masked_load(at, v, mask) for v, mask in enumerate(masks))
    return [w.builder.fmul(w.builder.fadd(x, own), by) for x in logits]


def _largest(  # noqa: PLR0917
    builder: Any, z: Any, row: Any, classes: Any, bias: Any, scale: Any, top: Any, count: Any
) -> None:
    """Write each example's largest logit, biased and scaled, to `top`, or no number if the first is none."""
    w = Writer(builder)
    masks = w.masks(count, VECTORS)

    def body(at: Any, number: Any, tops: list[Any]) -> list[Any]:
        found = _biased(w, at, number, bias, scale, masks)
        return [builder.select(builder.fcmp_ordered(">", x, t), x, t) for x, t in zip(found, tops, strict=True)]

    first = _biased(w, z, w.number(0), bias, scale, masks)
    for v, (found, mask) in enumerate(zip(_class_by_class(w, z, row, classes, first, body), masks, strict=True)):
        w.masked_store(found, top, v, mask)


def _powers(  # noqa: PLR0917
    keeps: bool,
    builder: Any,
    z: Any,
    row: Any,
    classes: Any,
    bias: Any,
    scale: Any,
    top: Any,
    sums: Any,
    count: Any,
) -> None:
    """Write each example's sum of exp(logit − top) to `sums`, and what it `keeps` of it where the logits were."""
    w = Writer(builder)
    masks = w.masks(count, VECTORS)
    tops = [builder.fneg(w.masked_load(top, v, mask)) for v, mask in enumerate(masks)]

    def body(at: Any, number: Any, before: list[Any]) -> list[Any]:
        own, by, found = w.spread(builder.add(bias, w.bytes(number))), w.spread(scale), []
        for v, (t, mask, total) in enumerate(zip(tops, masks, before, strict=True)):
            x = w.fused(builder.fadd(w.masked_load(at, v, mask), own), by, t)
            power = exponential(w, x)
            if keeps:
                w.masked_store(power, at, v, mask)
            found.append(builder.fadd(total, power))
        return found

    totals = _class_by_class(w, z, row, classes, [w.zeros] * VECTORS, body)
    for v, (total, mask) in enumerate(zip(totals, masks, strict=True)):
        w.masked_store(total, sums, v, mask)


def _scale(builder: Any, z: Any, row: Any, classes: Any, shares: Any, count: Any) -> None:
    """Multiply all classes of each example with its share."""
    w = Writer(builder)
    masks = w.masks(count, VECTORS)
    by = [w.masked_load(shares, v, mask) for v, mask in enumerate(masks)]

    def body(at: Any, _: Any, __: list[Any]) -> list[Any]:
        for v, (share, mask) in enumerate(zip(by, masks, strict=True)):
            w.masked_store(builder.fmul(w.masked_load(at, v, mask), share), at, v, mask)
        return []

    _class_by_class(w, z, row, classes, [], body)


def _add_up(builder: Any, z: Any, row: Any, classes: Any, lanes: Any, count: Any) -> None:
    """Add each class's examples to its 32 lanes."""
    w = Writer(builder)
    masks = w.masks(count, VECTORS)

    def body(at: Any, number: Any, _: list[Any]) -> list[Any]:
        own = builder.add(lanes, builder.mul(w.bytes(number), w.number(2 * LANES)))
        for half in (0, 1):
            to = builder.add(own, w.number(4 * LANES * half))
            total = w.load(to)
            for v in range(half, VECTORS, 2):
                total = builder.fadd(total, w.masked_load(at, v, masks[v]))
            w.store(total, to)
        return []

    _class_by_class(w, z, row, classes, [], body)


largest_logits, scale_all, add_up_classes = (instruction(write) for write in (_largest, _scale, _add_up))
powers, sums_of_powers = (instruction(functools.partial(_powers, keeps)) for keeps in (True, False))
