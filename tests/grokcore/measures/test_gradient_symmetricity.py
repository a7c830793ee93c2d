"""Gradient symmetricity: exact for a network that adds, low for one that multiplies."""

import pytest


def test_summed_operands_have_equal_gradients(make_view, value):
    model = {"name": "mlp", "width": 16, "inputs": "embedding", "activation": "gelu"}
    assert value("gradient_symmetricity", make_view(model=model)) == pytest.approx(1, abs=1e-12)


def test_operands_read_apart_have_unrelated_ones(make_view, value):
    model = {"name": "mlp", "width": 256, "inputs": "embedding", "combine": "concat"}
    assert abs(value("gradient_symmetricity", make_view(model=model))) < 0.2


@pytest.mark.parametrize(
    "changes", [{}, {"tied": True}, {"layers": 2, "norm": "post", "operator_token": True, "bias": False}]
)
def test_it_is_defined_for_attention(make_view, value, changes):
    model = {"name": "transformer", "width": 16, "heads": 4, "mlp_width": 32, **changes}
    assert 0 < abs(value("gradient_symmetricity", make_view(model=model))) < 1


def test_constant_attention_that_does_not_know_places_has_equal_gradients(make_view, value):
    blind = {"name": "transformer", "width": 16, "heads": 4, "mlp_width": 32, "positions": "none", "attention_rate": 0}
    view = make_view(model={**blind, "operator_token": True})
    assert value("gradient_symmetricity", view) == pytest.approx(1, abs=1e-12)
