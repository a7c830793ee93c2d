"""Position transfer: equal, rotated and unrelated operands."""

import pytest
import torch

from grokcore.measures.position_transfer import features

CONCAT = {"name": "mlp", "width": 24, "inputs": "one_hot", "combine": "concat"}


def tables(kind):
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(13, 24, generator=generator, dtype=torch.float64)
    other = torch.randn(24, 24, generator=generator, dtype=torch.float64)
    second = {"equal": first, "rotated": first @ torch.linalg.qr(other)[0], "unrelated": other[:13]}[kind]
    return {"weight_0": torch.cat([first, second])}


POWER = {"name": "transformer", "width": 16, "heads": 2, "mlp_width": 24, "layers": 2, "norm": "post"}


def test_what_an_operand_adds_is_its_row_of_the_first_layer(make_view):
    view = make_view(tables("unrelated"), model=CONCAT, task={"name": "modular_subtraction", "modulus": 13})
    rows = view.parameters["weight_0"][0]
    for found, own in zip(features(view), (rows[:13], rows[13:]), strict=True):
        torch.testing.assert_close(found[0], own - own.mean(0), atol=1e-12, rtol=0)


@pytest.mark.parametrize("changes", [{}, {"operator_token": True, "tied": True, "bias": False}])
def test_attention_that_does_not_know_places_treats_operands_alike(make_view, value, changes):
    task = {"name": "modular_division", "modulus": 13}
    model = {**POWER, "layers": 1, **changes, "positions": "none"}
    alike = value("position_transfer", make_view(model=model, task=task))
    assert list(alike.values()) == pytest.approx([1, 1, 1], abs=1e-3)
    deep = value("position_transfer", make_view(model={**POWER, **changes}, task=task))
    assert all(0 <= number <= 1 for number in deep.values())


def test_equal_rotated_and_unrelated_operands_are_told_apart(make_view, value):
    equal, rotated, unrelated = (
        value("position_transfer", make_view(tables(kind), model=CONCAT)) for kind in ("equal", "rotated", "unrelated")
    )
    assert list(equal.values()) == pytest.approx([1, 1, 1], abs=1e-3)
    assert rotated["position_cka"] == pytest.approx(1)
    assert rotated["position_procrustes"] == pytest.approx(1)
    assert rotated["position_transfer"] < 0.5
    assert unrelated["position_cka"] < 0.7
    assert unrelated["position_transfer"] < 0.5
