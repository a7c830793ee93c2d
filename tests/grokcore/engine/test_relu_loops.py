"""Loops of ReLU do what torch's operations do, and the same for a run whoever is beside it."""

from __future__ import annotations

import pytest
import torch

from grokcore.engine.kernels.loops import relu as loops

SIZES = [(2, 150, 48), (3, 5, 7), (1, 64, 512)]


def _drawn(runs, length, width):
    drawn = torch.Generator().manual_seed(width)
    x, delta = (torch.randn(runs, length, width, generator=drawn) for _ in range(2))
    return x, torch.randn(runs, width, generator=drawn), delta


@pytest.mark.parametrize("sizes", SIZES)
def test_a_relu_with_its_bias_is_that_of_torchs_operations(sizes):
    x, bias, delta = _drawn(*sizes)
    x[0, 1, 2], x[-1, 0, 0] = float("nan"), float("inf")
    after = loops.cut_off_(x.clone(), bias)
    torch.testing.assert_close(after, (x + bias.unsqueeze(1)).relu_(), rtol=0, atol=0, equal_nan=True)
    before, total = delta.clone(), torch.full_like(bias, 3.0)
    loops.cut_back_(before, after, total, first=True)
    expected = torch.ops.aten.threshold_backward(delta, after, 0)
    assert torch.equal(before, expected)
    torch.testing.assert_close(total.double(), expected.double().sum(1), rtol=1e-5, atol=1e-5)
    loops.cut_back_(before, after, total, first=False)
    torch.testing.assert_close(total.double(), 2 * expected.double().sum(1), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("sizes", SIZES)
def test_a_runs_bits_do_not_depend_on_who_is_beside_it_nor_on_where_its_rows_lie(sizes):
    x, bias, delta = _drawn(*sizes)
    wide = torch.zeros(sizes[0], sizes[1] + 3, sizes[2])[:, 1:-2].copy_(x)
    together, total = loops.cut_off_(wide, bias), torch.zeros_like(bias)
    back = delta.clone()
    loops.cut_back_(back, together, total, first=True)
    for k in range(len(x)):
        alone, own, sums = x[k : k + 1].clone(), delta[k : k + 1].clone(), torch.zeros(1, sizes[2])
        loops.cut_off_(alone, bias[k : k + 1].clone())
        loops.cut_back_(own, alone, sums, first=True)
        assert torch.equal(alone[0], together[k])
        assert torch.equal(own[0], back[k])
        assert torch.equal(sums[0], total[k])
