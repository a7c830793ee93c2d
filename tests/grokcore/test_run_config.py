"""A configuration says everything that is wrong with it at once, and its identity depends on every field."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError

import pytest

from grokcore import ConfigError, RunConfig
from grokcore.errors import unknown_name
from grokcore.run_config import nest

GOOD = {
    "task": {"name": "modular_addition", "modulus": 53},
    "model": {"name": "transformer", "layers": 1, "width": 128, "heads": 4, "mlp_width": 512},
    "optimizer": {"name": "adamw", "rate": 1e-3, "decay": 1.0, "betas": [0.9, 0.98], "warmup": 10},
    "fraction": 0.5,
    "batch": "full",
    "steps": 5000,
    "seed": 0,
}


def complaints(**changes) -> str:
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_dict({**GOOD, **{k.replace("__", "."): v for k, v in changes.items()}})
    return str(caught.value)


def test_reading_and_writing_are_inverse():
    config = RunConfig.from_dict(GOOD)
    assert RunConfig.from_dict(config.to_dict()) == config
    assert RunConfig.from_dict(config.to_flat()) == config
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))).run_id == config.run_id
    assert pickle.loads(pickle.dumps(config)) == config


def test_a_configuration_is_frozen():
    with pytest.raises(FrozenInstanceError):
        RunConfig.from_dict(GOOD).fraction = 0.3


def test_the_run_id_depends_on_every_field_and_not_on_how_it_was_written():
    base = RunConfig.from_dict(GOOD)
    assert RunConfig.from_dict({**GOOD, "optimizer.decay": 1}).run_id == base.run_id
    changes = {
        "fraction": 0.51,
        "steps": 5001,
        "seed": 1,
        "batch": 512,
        "dtype": "float64",
        "optimizer.decay": 0.9,
        "optimizer.betas": [0.9, 0.99],
        "task.modulus": 59,
        "model.width": 64,
        "optimizer.warmup": 0,
    }
    ids = {RunConfig.from_dict({**GOOD, name: value}).run_id for name, value in changes.items()}
    assert len(ids | {base.run_id}) == len(changes) + 1


def test_unknown_names_get_the_nearest_match_and_the_list():
    text = complaints(task__name="modular_additoin")
    assert "modular_additoin" in text
    assert "Did you mean 'modular_addition'" in text
    assert "modular_division" in text
    assert "Did you mean 'mlp'" in complaints(model={"name": "mpl"})
    assert "Did you mean 'decay'" in complaints(optimizer__decoy=1.0)
    assert "Did you mean 'fraction'" in complaints(fracton=0.5)


def test_every_complaint_comes_in_one_error():
    text = complaints(
        task__modulus=1, optimizer__decay=-1.0, fraction=1.5, steps=0, model__heads=3, optimizer__colour="red"
    )
    for part in ("task.modulus = 1", "optimizer.decay = -1.0", "fraction = 1.5", "steps = 0", "heads = 3", "colour"):
        assert part in text, part


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan"), "a lot"])
def test_a_fraction_outside_0_and_1_is_refused(fraction):
    assert "fraction" in complaints(fraction=fraction)


def test_a_fraction_that_leaves_no_example_on_either_side_is_refused():
    assert "no training example" in complaints(task__modulus=3, fraction=0.01)
    assert "no validation example" in complaints(task__modulus=3, fraction=0.99)


def test_division_needs_a_prime():
    assert "51 = 3 × 17" in complaints(task={"name": "modular_division", "modulus": 51})


def test_a_batch_beyond_the_training_set_is_refused():
    assert "batch = 5000" in complaints(batch=5000)
    assert "batch = 0" in complaints(batch=0)


def test_what_is_missing_is_named():
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_dict({"model": "mlp"})
    text = str(caught.value)
    for name in ("task is missing", "optimizer is missing"):
        assert name in text


def test_errors_survive_the_way_between_processes():
    error = ConfigError(["one", "two"])
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.complaints, str(copy)) == (error.complaints, str(error))


def test_an_mlp_puts_operands_side_by_side_where_their_order_matters_unless_told():
    def combined(task, **model):
        sections = {"task": task, "model": {"name": "mlp", **model}, "optimizer": "adamw"}
        return RunConfig.from_dict({**sections, "fraction": 0.5, "steps": 5}).model.combine

    assert combined({"name": "modular_addition", "modulus": 7}) == "sum"
    assert combined({"name": "modular_addition", "modulus": 7}, combine="concat") == "concat"
    assert combined({"name": "modular_subtraction", "modulus": 7}) == "concat"
    assert combined({"name": "random_labels", "modulus": 7}) == "concat"
    # Noise is an axis to sweep over: it changes no network.
    assert combined({"name": "modular_addition", "modulus": 7, "label_noise": 0.1}) == "sum"
    assert combined({"name": "majority", "bits": 7, "samples": 100}, inputs="real") == "concat"


def test_a_bare_name_keeps_what_was_said_of_its_member_in_any_order():
    expected = {"model": {"name": "transformer", "heads": 3}}
    assert nest({"model.heads": 3, "model": "transformer"}) == expected
    assert nest({"model": "transformer", "model.heads": 3}) == expected


@pytest.mark.parametrize(("given", "meant"), [("weight_decay", "decay"), ("lr", "rate"), ("learning_rate", "rate")])
def test_what_others_call_a_field_leads_to_it(given, meant):
    assert f"Did you mean {meant!r}?" in unknown_name("field", given, ["decay", "embedding_decay", "rate"])
