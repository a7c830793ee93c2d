"""Sums in registers add up all numbers that are asked for and no others, in one order."""

from __future__ import annotations

import numpy as np
import pytest

from grokcore.numerics.loops import loop
from grokcore.numerics.registers.sums import add_up


@loop
def sum_of(x, count, to):
    add_up((x.ctypes.data, count, to.ctypes.data))
    x[0] = x[0]


@pytest.mark.parametrize("count", [1, 15, 16, 63, 64, 65, 200])
def test_all_numbers_count_once_and_what_follows_does_not(count):
    x, to = np.full(count + 64, np.nan, np.float32), np.zeros(2, np.float32)
    x[:count] = 2.0 ** (np.arange(count) % 8)  # whole numbers, whose sum is exact in any order
    sum_of(x, count, to)
    assert to.tolist() == [x[:count].sum(), 0.0]
