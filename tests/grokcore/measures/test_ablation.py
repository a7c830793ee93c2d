"""Ablation: one part that does everything, and parts that share alike."""

import pytest

from grokcore.measures.ablation import damage


def test_planted_frequencies_share_the_damage(planted, value):
    one = damage(planted({2: 9.0}))["frequency"][0]
    assert one.argmax() == 1
    assert float(one.sum() - one.max()) == pytest.approx(0, abs=1e-9)
    # A Gini of n values of which one is not zero is (n − 1) / n.
    found = value("ablation", planted({2: 9.0}))
    assert found["frequency_damage_gini"] == pytest.approx(5 / 6, abs=1e-9)
    many = value("ablation", planted({k: 9.0 for k in range(1, 7)}))
    assert many["frequency_damage_gini"] < 0.2


def test_a_silenced_head_and_a_neuron_that_nobody_reads_do_no_damage(make_view):
    view = make_view(model={"name": "transformer", "width": 8, "heads": 2, "mlp_width": 4})
    view.parameters["out"][0, :4] = 0
    view.parameters["mlp_out"][0, 2] = 0
    found = {kind: lost[0] for kind, lost in damage(view).items()}
    assert found["head"][0] == pytest.approx(0, abs=1e-12)
    assert found["head"][1] > 1e-6
    assert found["neuron"][2] == pytest.approx(0, abs=1e-12)
    assert float(found["neuron"].max()) > 1e-3


@pytest.mark.parametrize(
    "model",
    [
        {"name": "mlp", "width": 40, "depth": 3, "combine": "concat"},
        {"name": "transformer", "width": 8, "heads": 2, "mlp_width": 6, "layers": 2, "norm": "post", "tied": True},
    ],
)
def test_parts_of_every_layer_are_taken_away_and_only_what_is_silent_does_no_damage(make_view, value, model):
    task = {"name": "modular_division", "modulus": 7}
    view = make_view(task=task, model=model)
    deep = model["name"] == "mlp"
    view.parameters["weight_1" if deep else "mlp_out"][0, : 40 if deep else 2] = 0
    found = {kind: lost[0] for kind, lost in damage(view).items()}
    layers, blocks = (3, 32) if deep else (2, 6)
    assert len(found["neuron"]) == layers * blocks
    silent = 32 if deep else 2
    assert (found["neuron"][:silent] == 0).all()
    assert (found["neuron"][silent:] > 0).any()
    assert deep or len(found["head"]) == 4
    assert len(found["frequency"]) == 3, "six units mod 7: three frequencies of discrete logarithms"
    assert all(0 <= gini < 1 for gini in value("ablation", view).values())
