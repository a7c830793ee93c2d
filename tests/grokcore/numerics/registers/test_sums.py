"""Sums in registers add up all numbers that are asked for and no others, in one order; so do those of products."""

from __future__ import annotations

import numpy as np
import pytest

from grokcore.numerics.loops import loop
from grokcore.numerics.registers.products import dots
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


@loop
def dots_of(x, y, heads, head, to):
    dots((x.ctypes.data, y.ctypes.data, heads, head, to.ctypes.data))
    x[0] = x[0]


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("head", [1, 8, 13, 32])
def test_each_head_has_the_product_of_its_own_numbers(heads, head):
    x, y = (np.random.default_rng(seed).integers(-8, 8, heads * head).astype(np.float32) for seed in (0, 1))
    to = np.zeros(heads + 1, np.float32)
    dots_of(x, y, heads, head, to)
    assert to.tolist() == [*(x * y).reshape(heads, head).sum(1), 0.0]
