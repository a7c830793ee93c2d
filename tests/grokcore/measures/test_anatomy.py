"""Anatomy: the tapped forward pass is the network's own, and taking a part away is what it says."""

import pytest
import torch

from grokcore.measures._anatomy import (
    enter,
    forward,
    heads,
    hidden_layers,
    leave,
    recorded,
    without_head,
    without_neurons,
)

DEEP = {"name": "transformer", "width": 12, "heads": 3, "mlp_width": 10, "layers": 3}
NETWORKS = {
    "mlp": {"name": "mlp", "width": 16},
    "deep": {"name": "mlp", "width": 16, "depth": 3, "activation": "gelu", "combine": "concat"},
    "one-hot": {"name": "mlp", "width": 16, "depth": 2, "inputs": "one_hot", "combine": "concat", "activation": "tanh"},
    "one-hot sum": {"name": "mlp", "width": 16, "inputs": "one_hot", "bias": False},
    "quadratic": {"name": "quadratic_mlp", "width": 16},
    "nanda": {"name": "transformer", "width": 8, "heads": 2, "mlp_width": 12},
    "power": {**DEEP, "norm": "post", "operator_token": True, "bias": False, "positions": "sinusoidal"},
    "tied": {**DEEP, "tied": True, "positions": "none", "attention_rate": 0.4},
    "all at once": {**DEEP, "norm": "post", "tied": True, "operator_token": True},
}
TRANSFORMERS = [name for name, model in NETWORKS.items() if model["name"] == "transformer"]


@pytest.fixture
def network(make_view):
    """Return a maker of a model, its parameters (all drawn, biases and gains too) and the inputs of its table."""

    def make(name, **changes):
        view = make_view(model=NETWORKS[name], task={"name": "modular_subtraction", "modulus": 7}, seeds=2, **changes)
        noise = torch.Generator().manual_seed(1)
        for value in view.parameters.values():
            value.add_(torch.randn(value.shape, generator=noise, dtype=value.dtype), alpha=0.1)
        return view.model, view.parameters, view.everything.inputs

    return make


@pytest.mark.parametrize("name", NETWORKS)
def test_taps_that_change_nothing_leave_the_networks_own_logits(network, name):
    model, parameters, inputs = network(name)
    own = model.forward(parameters, inputs)
    torch.testing.assert_close(forward(model, parameters, inputs), own, atol=1e-10, rtol=0)
    names = set()

    def tap(at, value):
        names.add(at)
        return value

    torch.testing.assert_close(forward(model, parameters, inputs, tap), own, atol=1e-10, rtol=0)
    kinds = ("heads", "before", "neurons") if heads(model) else ("before", "neurons")
    assert names == {"operands", *(f"{kind}_{i}" for kind in kinds for i in range(hidden_layers(model)))}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_head_taken_away_is_its_rows_of_the_output_matrix_at_zero(network, name):
    model, parameters, inputs = network(name)
    size = model.width // model.heads
    for layer in range(model.layers):
        for head in range(model.heads):
            out = model.layer(layer)["out"]
            without = {**parameters, out: parameters[out].clone()}
            without[out][:, head * size : (head + 1) * size] = 0
            ablated = forward(model, parameters, inputs, without_head(layer, head))
            torch.testing.assert_close(ablated, model.forward(without, inputs), atol=1e-10, rtol=0)
            assert not torch.allclose(ablated, model.forward(parameters, inputs))


@pytest.mark.parametrize("name", NETWORKS)
def test_neurons_taken_away_are_their_rows_of_the_next_matrix_at_zero(network, name):
    model, parameters, inputs = network(name)
    for layer in range(hidden_layers(model)):
        reader = model.layer(layer)["mlp_out"] if heads(model) else f"weight_{layer + 1}"
        without = {**parameters, reader: parameters[reader].clone()}
        without[reader][:, 3:6] = 0
        ablated = forward(model, parameters, inputs, without_neurons(layer, slice(3, 6)))
        torch.testing.assert_close(ablated, model.forward(without, inputs), atol=1e-10, rtol=0)
    nothing = forward(model, parameters, inputs, without_neurons(0, slice(3, 3)))
    assert torch.equal(nothing, forward(model, parameters, inputs)), "without nothing, nothing changes"


@pytest.mark.parametrize("name", NETWORKS)
def test_the_last_hidden_layer_is_the_one_recorded_and_all_that_logits_follow_from(network, name):
    model, parameters, inputs = network(name)
    seen = {}
    last = f"neurons_{hidden_layers(model) - 1}"
    inside = enter(model, parameters, inputs, recorded(frozenset({last}), seen))
    assert torch.equal(seen[last], inside.neurons)
    assert torch.equal(leave(model, parameters, inside), forward(model, parameters, inputs))
    if model.to_section().get("activation", "relu") == "relu":
        assert bool((inside.neurons >= 0).all())


def test_numbers_are_read_as_the_network_reads_them(make_view):
    task = {"name": "parity", "bits": 6, "relevant": 2, "samples": 64}
    model = {"name": "mlp", "width": 8, "inputs": "real", "combine": "concat"}
    view = make_view(task=task, model=model)
    own = view.model.forward(view.parameters, view.everything.inputs)
    torch.testing.assert_close(forward(view.model, view.parameters, view.everything.inputs), own, atol=1e-10, rtol=0)
