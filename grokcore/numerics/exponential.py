"""The exponential in loops: there is no vector instruction for it, and the C library's takes one number at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from grokcore.numerics.loops import part

LOG2_E = np.float32(1.0 / math.log(2.0))
ROUND = np.float32(3 << 22)
"""A sum with it is rounded to a whole number, which then stands in the last bits."""
SMALLEST = np.float32(-87.33)
"""Below its exponential there are only subnormal numbers."""
POLYNOMIAL = tuple(map(np.float32, (0.69314718, 0.24022648, 0.055503324, 0.009618437, 0.0013398875, 0.00015353362)))
"""2^f = 1 + f · (p₁ + f · (p₂ + …)) for |f| ≤ 1/2: the least largest relative error, 8e-8 with float32's rounding."""
_1, _2, _3, _4, _5, _6 = POLYNOMIAL


@part
def exponential(x: Any) -> Any:
    """exp(x) of x ≤ 0, to 8e-8 and the rounding of x · log₂ e; 0 where it would be subnormal."""
    power = x * LOG2_E
    whole = power + ROUND
    f = power - (whole - ROUND)
    p = _6 * f + _5
    p = p * f + _4
    p = p * f + _3
    p = p * f + _2
    p = p * f + _1
    p = p * f + np.float32(1)
    raised = np.float32(p).view(np.int32) + np.int32(np.float32(whole).view(np.int32) << np.int32(23))
    found = np.float32(0) if x < SMALLEST else np.int32(raised).view(np.float32)
    return found if x == x else x  # noqa: PLR0124, what is no number stays none
