"""Transposes are those of torch, whatever the sizes, and touch nothing beside them."""

from __future__ import annotations

import pytest
import torch

from grokcore.numerics.transposing import copy_transposed_


@pytest.mark.parametrize("rows", [1, 15, 16, 31, 64])
@pytest.mark.parametrize("columns", [1, 16, 17, 48])
def test_every_size_is_transposed_into_its_own_place_alone(rows, columns):
    x = torch.randn(3, rows, columns, generator=torch.Generator().manual_seed(rows))
    around = torch.zeros(3, rows * columns + 40)
    copy_transposed_(around[:, 20:-20].unflatten(1, (columns, rows)), x)
    assert torch.equal(around[:, 20:-20].reshape(3, columns, rows), x.mT)
    assert not around[:, :20].any()
    assert not around[:, -20:].any()


def test_what_loops_do_not_serve_is_copied_by_torch():
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    assert torch.equal(copy_transposed_(torch.empty(2, 4, 3, dtype=torch.float64), x), x.mT)
