"""Gradient norm: that of the plain loss."""

import pytest
import torch

from grokcore.data.split import split


def plain_loss(view, config_rows, parameters):
    inputs = torch.from_numpy(view.task.table.inputs[config_rows].copy())
    targets = torch.from_numpy(view.task.table.targets[config_rows].copy())
    logits = view.model.forward(view.task, parameters, inputs.unsqueeze(0))[0, :, : view.task.table.classes]
    return torch.nn.functional.cross_entropy(logits, targets)


@pytest.mark.parametrize("batch", ["full", 16])
def test_it_is_the_norm_of_the_plain_loss_s_gradient_on_all_training_rows(make_view, value, batch, make_config):
    view = make_view(batch=batch)
    train, _ = split(make_config(model=view_model(), seed=0, fraction=0.5))
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in view.parameters.items()}
    found = torch.autograd.grad(plain_loss(view, train, leaves), list(leaves.values()))
    expected = torch.cat([part.flatten() for part in found]).norm()
    assert value("gradient_norm", view) == pytest.approx(float(expected), rel=1e-9)


def view_model():
    return {"name": "mlp", "width": 16, "inputs": "embedding"}
