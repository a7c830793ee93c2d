"""Named places: what passes them is what the network computes with, and taking a part away is what it says."""

import pytest
import torch

from grokcore.measures.ablation import silencing
from grokcore.models.base import at_read_out, recording, untouched

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
    """Return a maker of a model, its task, its parameters (all drawn, biases and gains too), its table's inputs."""

    def make(name, **changes):
        view = make_view(model=NETWORKS[name], task={"name": "modular_subtraction", "modulus": 7}, seeds=2, **changes)
        noise = torch.Generator().manual_seed(1)
        for value in view.parameters.values():
            value.add_(torch.randn(value.shape, generator=noise, dtype=value.dtype), alpha=0.1)
        return view.model, view.task, view.parameters, view.everything.inputs

    return make


@pytest.mark.parametrize("name", NETWORKS)
def test_every_place_that_a_model_promises_is_passed_in_its_shape(network, name):
    model, task, parameters, inputs = network(name)
    seen = {}

    def tap(at, value):
        seen[at] = value
        return value

    assert torch.equal(model.forward(task, parameters, inputs, tap), model.forward(task, parameters, inputs, untouched))
    kinds = ("heads", "before", "neurons") if model.attention_heads else ("before", "neurons")
    promised = {"operands", *(f"{kind}_{i}" for kind in kinds for i in range(model.hidden_layers))}
    assert promised <= set(seen)
    assert any(place.startswith(model.dropped) for place in seen), "dropout has somewhere to go"
    runs, examples = inputs.shape[:2]
    for place, value in seen.items():
        assert value.shape[:2] == (runs, examples), place
        if place.startswith("heads"):
            assert value.shape[-2] == model.attention_heads
            assert at_read_out(value, features=2).shape == (runs, examples, *value.shape[-2:])
        elif place != "operands":
            assert at_read_out(value).shape == (runs, examples, value.shape[-1])
    positions = model.operand_positions(task)
    assert len(positions) == 2
    if model.shares_embedding:
        table = parameters.get("embedding", parameters.get("weight_0"))
        for i, position in enumerate(positions):
            expected = torch.stack([rows[tokens] for rows, tokens in zip(table, inputs[..., i], strict=True)])
            assert torch.equal(seen["operands"][:, :, position], expected)


def doubling(place):
    return lambda at, value: value * 2 if at == place else value


@pytest.mark.parametrize("name", NETWORKS)
def test_what_a_tap_returns_goes_on(network, name):
    model, task, parameters, inputs = network(name)
    own = model.forward(task, parameters, inputs)
    for place in ("operands", "before_0", f"neurons_{model.hidden_layers - 1}"):
        changed = model.forward(task, parameters, inputs, doubling(place))
        assert not torch.allclose(changed, own), place


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_head_taken_away_is_its_rows_of_the_output_matrix_at_zero(network, name):
    model, task, parameters, inputs = network(name)
    size = model.width // model.heads
    for layer in range(model.layers):
        for head in range(model.heads):
            out = model.layer(layer)["out"]
            without = {**parameters, out: parameters[out].clone()}
            without[out][:, head * size : (head + 1) * size] = 0
            ablated = model.forward(task, parameters, inputs, silencing(f"heads_{layer}", slice(head, head + 1), -2))
            torch.testing.assert_close(ablated, model.forward(task, without, inputs), atol=1e-10, rtol=0)
            assert not torch.allclose(ablated, model.forward(task, parameters, inputs))


@pytest.mark.parametrize("name", NETWORKS)
def test_neurons_taken_away_are_their_rows_of_the_next_matrix_at_zero(network, name):
    model, task, parameters, inputs = network(name)
    for layer in range(model.hidden_layers):
        reader = model.layer(layer)["mlp_out"] if model.attention_heads else f"weight_{layer + 1}"
        without = {**parameters, reader: parameters[reader].clone()}
        without[reader][:, 3:6] = 0
        ablated = model.forward(task, parameters, inputs, silencing(f"neurons_{layer}", slice(3, 6), -1))
        torch.testing.assert_close(ablated, model.forward(task, without, inputs), atol=1e-10, rtol=0)
    nothing = model.forward(task, parameters, inputs, silencing("neurons_0", slice(3, 3), -1))
    assert torch.equal(nothing, model.forward(task, parameters, inputs)), "without nothing, nothing changes"


@pytest.mark.parametrize("name", NETWORKS)
def test_the_activations_that_measures_see_are_what_logits_are_read_from(make_view, name):
    view = make_view(model=NETWORKS[name], task={"name": "modular_subtraction", "modulus": 7}, seeds=2)
    seen = {}
    place = f"neurons_{view.model.hidden_layers - 1}"
    view.model.forward(view.task, view.parameters, view.everything.inputs, recording(frozenset({place}), seen))
    assert torch.equal(at_read_out(seen[place]), view.activations)
    if view.model.to_section().get("activation", "relu") == "relu":
        assert bool((view.activations >= 0).all())
