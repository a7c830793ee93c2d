"""What every way of training must keep to: a run's bits depend on its own configuration, whoever trains beside it.

Each way is a change to one small run. Three runs of it that differ in seed, fraction and numbers are trained alone,
together, and together with a pause; curves must be equal bit for bit. A member of a family that no way uses fails here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from grokcore import RunConfig, train
from grokcore.config.folders import use_folder
from grokcore.engine.cohort import Cohort
from grokcore.initialisations.base import INITIALISATIONS
from grokcore.losses.base import LOSSES
from grokcore.models.base import MODELS
from grokcore.optimizers.base import OPTIMIZERS
from grokcore.transforms.base import TRANSFORMS

use_folder(Path(__file__).parents[1] / "grokcore" / "models" / "components")  # my_nets.py

BASE = {
    "task": {"name": "modular_addition", "modulus": 11},
    "model": {"name": "mlp", "width": 24, "depth": 2},
    "optimizer": {"name": "adamw"},
    "fraction": 0.6,
    "steps": 24,
}
"""What the ways change: 121 examples, two hidden layers."""

TEMPLATED = {"task": {"name": "toy_addition", "numbers": 8, "template_width": 5}, "loss": "mse"}
BITS = {"task": {"name": "parity", "bits": 6, "samples": 60}}
TRANSFORMER = {"name": "transformer", "width": 16, "heads": 4, "mlp_width": 24}
POWER = {**TRANSFORMER, "layers": 2, "norm": "post", "operator_token": True, "positions": "sinusoidal"}
QUADRATIC = {"model": {"name": "quadratic_mlp", "width": 40}, "loss": "mse"}

WAYS = {
    "adamw": {"optimizer.warmup": 5},
    "adam": {"optimizer": {"name": "adam", "decay": 0.01}},
    "sgd": {"optimizer": {"name": "sgd", "momentum": 0.9, "rate": 0.05}},
    "muon": {"optimizer": {"name": "muon", "rate": 0.01, "decay": 0.1}},
    "muon transformer": {"optimizer": {"name": "muon", "rate": 0.01}, "model": TRANSFORMER},
    "cosine": {"optimizer.schedule": "cosine", "optimizer.schedule_steps": 20},
    "step": {"optimizer.decay_schedule": "step", "optimizer.decay_steps": 7, "optimizer.decay": 1.0},
    "decay to the beginning": {"optimizer.decay": 1.0, "optimizer.decay_to": "initialisation"},
    "L2 to the beginning": {"optimizer": {"name": "adam", "decay": 0.1, "decay_to": "initialisation"}},
    "embedding rate": {"optimizer.embedding_rate": 0.01, "optimizer.embedding_decay": 0.3},
    "grokfast ema": {"transform": "grokfast_ema"},
    "grokfast ma": {"transform": {"name": "grokfast_ma", "window": 6}},
    "orthograd": {"transform": "orthograd"},
    "fixed norm": {"transform": "fixed_norm"},
    "norm penalty": {"transform": {"name": "norm_penalty", "strength": 0.1, "memorised": 0.01}},
    "norm penalty in a pair": {
        "transform": {
            "name": "pair",
            "first": "grokfast_ema",
            "second": {"name": "norm_penalty", "strength": 0.1, "memorised": 0.01},
        }
    },
    "two transforms": {"transform": {"name": "pair", "first": {"name": "grokfast_ema"}, "second": "orthograd"}},
    "three transforms": {
        "transform": {
            "name": "pair",
            "first": {"name": "pair", "first": {"name": "grokfast_ma", "window": 6}, "second": "orthograd"},
            "second": "fixed_norm",
        },
    },
    **{loss: {"loss": loss} for loss in LOSSES.names},
    "scaled": {"output_scale": 3.0, "temperature": 0.5, "initialisation.name": "default", "initialisation.scale": 2.0},
    "dropout": {"dropout": 0.3},
    "dropout transformer": {"dropout": 0.3, "model": TRANSFORMER},
    "noise": {"gradient_noise": 0.01},
    "minibatches": {"batch": 20},
    "differences held out": {"split": "difference", "model.combine": "concat"},
    "label noise": {"task.label_noise": 0.2},
    "tanh": {"model.activation": "tanh"},
    "bits": {**BITS, "model": {"name": "mlp", "width": 24, "inputs": "real", "combine": "concat"}},
    "decoder": {**TEMPLATED, "model": {"name": "decoder", "width": 24}},
    "decoder of classes": {**TEMPLATED, "model": {"name": "decoder", "outputs": "classes"}, "loss": "cross_entropy"},
    "quadratic": QUADRATIC,
    "analytic": {**QUADRATIC, "initialisation": "analytic"},
    "transformer": {"model": TRANSFORMER},
    "transformer on bits": {**BITS, "model": TRANSFORMER},
    "power": {"model": POWER},
    "power in minibatches": {"model": POWER, "batch": 40},
    "power on bits": {**BITS, "model": POWER},
    "power with dropout": {"model": POWER, "dropout": 0.2},
    "pizza": {"model": {**TRANSFORMER, "attention_rate": 0.0}},
    "sphere": {"model": {**TRANSFORMER, "name": "bounded_sphere"}},
    "tied": {"model": {**TRANSFORMER, "tied": True, "positions": "none"}},
    "module": {"model": {"name": "module", "factory": "my_nets:mlp", "arguments": {"width": 16}}},
    "qwen": {"model": {"name": "module", "factory": "my_nets:qwen", "equals_token": True}},
}


def expand(way, **changes):
    return RunConfig.from_dict({**BASE, **WAYS[way], **changes})


def three(way):
    """Three runs of a way that may share a cohort, as different as they may be."""
    runs = []
    for i, (rate, fraction) in enumerate(((0.003, 0.6), (0.01, 0.61), (0.005, 0.6))):
        config = expand(way, seed=i, fraction=fraction)
        values = config.to_dict()
        values["optimizer"]["rate"] = rate
        values["gradient_noise"] *= 1 + i
        values["dropout"] /= 1 + i
        values["output_scale"] *= 1 + i
        for number in ("gain", "keep"):
            if number in values["transform"]:
                values["transform"][number] *= 1 - 0.1 * i
        runs.append(RunConfig.from_dict(values))
    return runs


def same(a, b):
    assert a.config == b.config
    for name in a.columns:
        np.testing.assert_array_equal(a.columns[name], b.columns[name], err_msg=name)


def finish(cohort):
    found = {}
    while not cohort.done:
        found |= {record.run_id: record for record in cohort.advance()}
    return found


@pytest.mark.parametrize("way", WAYS)
def test_a_run_is_bit_for_bit_what_it_is_alone_and_after_a_pause(way):
    runs = three(way)
    alone = {config.run_id: train([config])[0] for config in runs}
    together = finish(Cohort(runs))
    cohort = Cohort(runs)
    early = {record.run_id: record for record in cohort.advance(seconds=0)}
    cohort.train_to(cohort.step + 1) if cohort.step < 1 else None
    paused = early | finish(Cohort.from_bytes(cohort.to_bytes(), runs))
    for run_id, record in alone.items():
        same(record, together[run_id])
        same(record, paused[run_id])
        assert np.isfinite(record.columns["train_loss"]).all()
    finals = [record.final["train_loss"] for record in alone.values()]
    assert len(set(finals)) == 3, "the three runs should differ"


@pytest.mark.parametrize("way", WAYS)
def test_a_way_survives_its_own_description(way):
    config = expand(way)
    again = RunConfig.from_dict(config.to_flat())
    assert again == config
    assert again.run_id == config.run_id


def test_every_member_is_used_by_a_way():
    used = {family: set() for family in ("model", "optimizer", "transform", "loss", "initialisation")}
    for way in WAYS:
        values = expand(way).to_dict()
        for family, names in used.items():
            names.add(values[family]["name"])
    assert used["model"] == set(MODELS.names)
    assert used["optimizer"] == set(OPTIMIZERS.names)
    assert used["transform"] == set(TRANSFORMS.names)
    assert used["loss"] == set(LOSSES.names)
    # A transferred embedding needs a file: tests/grokcore/initialisations.
    assert used["initialisation"] == set(INITIALISATIONS.names) - {"transferred"}


@pytest.mark.parametrize("way", sorted(set(WAYS) - {"adamw"}))
def test_a_way_does_what_plain_adamw_does_not(way):
    """A setting that changes nothing would be a setting that is not wired."""
    if way in ("cross_entropy", "cross_entropy_float32", "cross_entropy_float64"):
        return
    plain = WAYS[way].get("model", BASE["model"]), WAYS[way].get("task", BASE["task"])
    other = RunConfig.from_dict({**BASE, "model": plain[0], "task": plain[1], "loss": LOSSES.name_of(expand(way).loss)})
    if other == expand(way):
        return
    assert train([expand(way)])[0].final["train_loss"] != train([other])[0].final["train_loss"]
