"""Loops of the normalisation do what torch's operations do in float64, and the same for a run whoever is beside it."""

from __future__ import annotations

import pytest
import torch

from grokcore.engine.kernels import _norms
from grokcore.models.transformer import Transformer

NAMES = {"mlp_gain": "gain", "mlp_shift": "shift"}
SIZES = [(3, 70, 128), (2, 9, 20), (1, 33, 64), (2, 5, 1)]


def _drawn(runs, length, width):
    drawn = torch.Generator().manual_seed(width)
    x = 3 * torch.randn(runs, length, width, generator=drawn) + 2
    weights = {name: torch.randn(runs, width, generator=drawn) for name in ("gain", "shift")}
    return x, weights, torch.randn(runs, length, width, generator=drawn)


def _there_and_back(x, weights, delta):
    net = Transformer(norm="post", width=x.shape[-1], heads=1)
    out = {name: torch.full_like(value, 7.0) for name, value in weights.items()}
    after, norm = _norms.normalise(net, weights, NAMES, "mlp", x)
    before = _norms.normalise_back(net, weights, NAMES, "mlp", norm, delta, out)
    return after, before, out["gain"], out["shift"]


@pytest.mark.parametrize("sizes", SIZES)
def test_normalised_states_and_gradients_are_those_of_torchs_operations(sizes):
    x, weights, delta = _drawn(*sizes)
    exact = _there_and_back(x.double(), {name: value.double() for name, value in weights.items()}, delta.double())
    for found, expected in zip(_there_and_back(x, weights, delta), exact, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sizes", SIZES)
def test_a_runs_bits_do_not_depend_on_who_is_beside_it_nor_on_where_its_rows_lie(sizes):
    x, weights, delta = _drawn(*sizes)
    wide = {name: torch.zeros(len(x), 3 + sizes[2])[:, 1:-2].copy_(value) for name, value in weights.items()}
    together = _there_and_back(x, wide, delta)
    for k in range(len(x)):
        own = {name: value[k : k + 1].clone() for name, value in weights.items()}
        alone = _there_and_back(x[k : k + 1].clone(), own, delta[k : k + 1].clone())
        assert all(torch.equal(one[0], all_[k]) for one, all_ in zip(alone, together, strict=True))
