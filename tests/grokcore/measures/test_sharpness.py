"""Sharpness: quadratics with known Hessians, and the dense Hessian of a small network."""

import pytest
import torch

from grokcore.algebra.landscape import hessian_product, lanczos
from grokcore.views.landscape import flat_weights, training_loss


def test_the_eigenvalues_of_a_quadratic_are_found():
    curvatures = torch.cat([torch.tensor([9.0, 5.0, -4.0]), torch.rand(60, generator=torch.Generator().manual_seed(0))])
    rotation = torch.linalg.qr(torch.randn(63, 63, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    matrix = rotation @ curvatures.double().diag() @ rotation.T
    product = hessian_product(
        lambda w: ((w @ matrix) * w).sum(1) / 2 + w.sum(1), torch.ones(1, 63, dtype=torch.float64)
    )
    (found,) = lanczos(product, torch.zeros(1, 63, dtype=torch.float64), 16)
    assert found[-2:].tolist() == pytest.approx([5, 9], rel=1e-6)
    assert float(found[0]) == pytest.approx(-4, rel=1e-6)


def test_a_small_networks_sharpness_is_that_of_its_dense_hessian(make_view, value):
    view = make_view(
        task={"name": "modular_addition", "modulus": 5}, model={"name": "mlp", "width": 4, "activation": "gelu"}
    )
    weights = flat_weights(view)
    loss = training_loss(view)
    dense = torch.autograd.functional.hessian(lambda flat: loss(flat.unsqueeze(0)).squeeze(0), weights[0])
    found = value("sharpness", view)
    expected = torch.linalg.eigvalsh(dense)
    assert found["sharpness"] == pytest.approx(float(expected[-1]), rel=1e-6)
    assert found["sharpness_second"] == pytest.approx(float(expected[-2]), rel=1e-2)
    along = float(weights[0] @ dense @ weights[0] / weights.square().sum())
    assert found["decay_curvature"] == pytest.approx(along, rel=1e-9, abs=1e-12)


def test_runs_side_by_side_have_their_own_eigenvalues_also_where_one_is_done_early():
    diagonals = torch.tensor([[3.0] * 20, [*range(1, 21)]], dtype=torch.float64)
    product = hessian_product(lambda w: (diagonals * w * w).sum(1) / 2, torch.ones_like(diagonals))
    early, late = lanczos(product, torch.zeros(2, 20, dtype=torch.float64), 20)
    assert early.tolist() == pytest.approx([3])
    assert late.tolist() == pytest.approx(list(range(1, 21)), rel=1e-6)
