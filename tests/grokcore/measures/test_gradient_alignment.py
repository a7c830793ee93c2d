"""Gradient alignment: how the loss changes when all weights are scaled."""

import pytest
import torch


def test_it_is_the_slope_of_the_loss_under_scaling_over_both_norms(make_view, value):
    view = make_view(seeds=1)

    def loss(scale):
        scaled = {name: tensor * scale for name, tensor in view.parameters.items()}
        batch = view.training_set()
        losses = view.kernel.loss.values(view.model.forward(view.task, scaled, batch.inputs), batch.targets)
        return float((losses * batch.weights).sum())

    slope = (loss(1 + 1e-5) - loss(1 - 1e-5)) / 2e-5
    expected = slope / (value("weight_norm", view) * value("gradient_norm", view))
    assert value("gradient_alignment", view) == pytest.approx(expected, rel=1e-5)


def test_weights_that_answer_all_but_too_softly_are_scaled_up(make_view, value):
    # With the right class's logit 1 and the others' 0 the loss falls by growing: θ · ∇L < 0.
    task, model = (
        {"name": "modular_addition", "modulus": 3},
        {"name": "mlp", "width": 9, "inputs": "one_hot", "combine": "concat", "bias": False, "activation": "quadratic"},
    )
    first, second = torch.zeros(6, 9), torch.zeros(9, 3)
    for a in range(3):
        for b in range(3):
            first[a, 3 * a + b] += 1
            first[3 + b, 3 * a + b] += 1
            second[3 * a + b, (a + b) % 3] = 1
    view = make_view({"weight_0": first, "weight_1": second}, task=task, model=model)
    assert value("gradient_alignment", view) < -0.3
