"""The exponential of grokcore/numerics/exponential.py, of vectors in registers: the same operations and bits."""

from __future__ import annotations

from typing import Any

from grokcore.numerics.exponential import LOG2_E, POLYNOMIAL, ROUND, SMALLEST
from grokcore.numerics.registers.writer import LANES, Writer


def exponential(w: Writer, x: Any) -> Any:
    """Return exp(x) of x ≤ 0, 0 where it would be subnormal."""
    builder = w.builder
    power = builder.fmul(x, w.constant(LOG2_E))
    whole = builder.fadd(power, w.constant(ROUND))
    f = builder.fsub(power, builder.fsub(whole, w.constant(ROUND)))
    p = w.constant(POLYNOMIAL[-1])
    for coefficient in reversed((1.0, *POLYNOMIAL[:-1])):
        p = w.fused(p, f, w.constant(coefficient))
    shifted = builder.shl(builder.bitcast(whole, w.lanes), w.ir.Constant(w.lanes, [23] * LANES))
    raised = builder.bitcast(builder.add(builder.bitcast(p, w.lanes), shifted), w.vector)
    found = builder.select(builder.fcmp_ordered("<", x, w.constant(SMALLEST)), w.zeros, raised)
    return builder.select(builder.fcmp_ordered("ord", x, x), found, x)  # what is no number stays none
