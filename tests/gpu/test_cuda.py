"""The engine on a real card: the same runs as on the CPU to rounding, and the same bits as itself.

None of these has run on hardware yet; `make gpu` runs them where there is a card.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from grokcore import RunConfig, train
from grokcore.data.layouts import LAYOUTS
from grokcore.engine.cohort import Cohort
from grokcore.engine.devices.named import device_named
from grokcore.engine.memory import predicted_bytes
from grokcore.training import train_again
from tests.contracts.test_measures import CASES
from tests.contracts.test_ways import WAYS, expand

pytestmark = pytest.mark.cuda

GROKS = {
    "task": {"name": "modular_addition", "modulus": 23},
    "model": {"name": "mlp", "width": 48},
    "optimizer": {"name": "adamw", "rate": 3e-3, "decay": 1.0, "betas": [0.9, 0.98]},
    "fraction": 0.6,
    "steps": 3000,
}
"""A small run that generalises."""


def grokking(count, **changes):
    return [RunConfig.from_dict({**GROKS, "seed": seed, **changes}) for seed in range(count)]


def finish(cohort):
    records = []
    while not cohort.done:
        records += cohort.advance()
    return {record.run_id: record for record in records}


def bits(record):
    return {name: values.tobytes() for name, values in record.columns.items()}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_the_cpus_in_double_precision(way):
    configs = [expand(way, seed=seed, fraction=0.5 + 0.1 * seed, dtype="float64") for seed in range(2)]
    for here, there in zip(train(configs, measures="none"), train(configs, "cuda", measures="none"), strict=True):
        assert here.outcome == there.outcome
        for name in ("train_loss", "val_loss"):
            # A card's curves may have more rows: it sees thresholds passed between evaluations.
            found = dict(zip(there.columns["step"].tolist(), there.columns[name].tolist(), strict=True))
            values = [found[step] for step in here.columns["step"].tolist()]
            np.testing.assert_allclose(values, here.columns[name], rtol=1e-7, atol=1e-12, err_msg=name)


def test_regimes_are_the_cpus_in_single_precision():
    configs = grokking(8)
    for here, there in zip(train(configs), train(configs, "cuda"), strict=True):
        assert here.regime is there.regime


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_cohort_has_the_same_bits_twice_and_with_a_pause(layout):
    configs = grokking(5, steps=400)
    first = finish(Cohort(configs, "cuda", layout=layout))
    again = finish(Cohort(configs, "cuda", layout=layout))
    assert {i: bits(r) for i, r in first.items()} == {i: bits(r) for i, r in again.items()}
    paused = Cohort(configs, "cuda", layout=layout)
    with paused.computing(), torch.no_grad():
        paused.advance(seconds=1e-9)
    continued = finish(Cohort.from_bytes(paused.to_bytes(), configs, "cuda"))
    assert {i: bits(r) for i, r in continued.items()} == {i: bits(r) for i, r in first.items()}


def test_other_company_changes_rounding_alone():
    (alone,) = train(grokking(1, steps=200), "cuda")
    beside = train(grokking(7, steps=200), "cuda")[0]
    np.testing.assert_allclose(beside.columns["train_loss"][:8], alone.columns["train_loss"][:8], rtol=1e-3)


@pytest.mark.parametrize("way", ["adamw", "transformer", "dropout", "minibatches", "noise", "muon", "grokfast ma"])
def test_steps_are_recorded_and_replayed(way, caplog):
    cohort = Cohort([expand(way, seed=seed) for seed in range(3)], "cuda", measures="none")
    with cohort.computing(), torch.no_grad():
        cohort.train_to(20)
    assert "cannot be replayed" not in caplog.text
    assert cohort.stack._run.__self__._graph is not None


@pytest.mark.parametrize("way", ["adamw", "transformer", "power in minibatches", "grokfast ma"])
def test_memory_is_predicted_within_fifteen_percent(way):
    sizes = {"task.modulus": 59} if "power" not in way else {}
    configs = [expand(way, seed=seed, **sizes) for seed in range(16)]
    card = device_named("cuda")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    cohort = Cohort(configs, card, measures="none")
    with cohort.computing(), torch.no_grad():
        cohort.train_to(10)
        cohort.stack.examine()
    held = torch.cuda.max_memory_allocated() - before
    assert abs(predicted_bytes(configs[0], 16, card, cohort.layout) / held - 1) < 0.15


@pytest.mark.parametrize("case", CASES)
def test_measures_are_the_cpus(case):
    task, model = CASES[case]
    base = {"task": task, "model": model, "fraction": 0.5, "steps": 30, "optimizer": {"name": "adamw"}}
    config = RunConfig.from_dict({**base, "dtype": "float64"})
    (here,), (there,) = (train([config], device, measures="full") for device in ("cpu", "cuda"))
    assert here.final.keys() == there.final.keys()
    for name, value in here.final.items():
        assert there.final[name] == pytest.approx(value, rel=1e-4, abs=1e-6, nan_ok=True), name


def test_tf32_is_recorded_and_only_where_asked_for():
    (plain,) = train(grokking(1, steps=20), "cuda")
    (coarse,) = train([replace(c, dtype="tf32") for c in grokking(1, steps=20)], "cuda")
    assert (plain.environment["tf32"], coarse.environment["tf32"]) == (False, True)
    assert {"processor", "driver", "cuda", "cublas", "layout"} <= plain.environment.keys()
    assert not torch.backends.cuda.matmul.allow_tf32


def test_a_record_is_itself_again_alone():
    (record,) = train(grokking(1, steps=200), "cuda")
    assert bits(train_again(record))["val_loss"] == bits(record)["val_loss"]
