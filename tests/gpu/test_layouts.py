"""The card's layouts give the runs that the processor's gives: every way of training, to float64's rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grokcore import RunConfig, train
from grokcore.data.batch import Grid
from grokcore.engine.cohort import Cohort
from grokcore.engine.devices import cuda
from grokcore.engine.kernels.grid_transformer import GridKernel
from grokcore.tasks.base import TASKS
from tests.contracts.test_ways import WAYS, expand
from tests.gpu.paper import OnCpu

SMALLER = {
    "fixed norm": 1e-9,  # a scale that is taken from a norm, which sums in another order
}


def double(way, **changes):
    return RunConfig.from_dict({**expand(way, **changes).to_dict(), "dtype": "float64"})


@pytest.mark.parametrize("way", [way for way in WAYS if not way.startswith("cross_entropy_float")])
def test_a_run_is_the_same_in_a_cards_layout(way):
    runs = [double(way, seed=seed, fraction=0.6 + 0.05 * seed) for seed in range(2)]
    plain = {record.run_id: record for record in train(runs, measures="none")}
    device = OnCpu()
    shapes = {Cohort([run], device, measures="none").layout for run in runs}
    assert shapes == {"full_table" if runs[0].batch == "full" else "bucketed"}
    cohort = Cohort(runs, device, measures="none")
    for record in cohort.advance():
        there = plain[record.run_id]
        at = np.isin(record.columns["step"], there.columns["step"])
        assert at.sum() == len(there.columns["step"])
        for name in ("step", "train_loss", "train_accuracy", "val_loss", "val_accuracy"):
            ours, theirs = record.columns[name][at], there.columns[name]
            np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=SMALLER.get(way, 1e-10), err_msg=name)


@pytest.mark.parametrize("task", TASKS.names)
@pytest.mark.parametrize("model", ["mlp", "transformer", "one-hot"])
def test_every_task_lies_in_a_full_table(task, model):
    sections = {
        "mlp": {"name": "mlp", "width": 16},
        "one-hot": {"name": "mlp", "width": 16, "inputs": "one_hot"},
        "transformer": {"name": "transformer", "width": 8, "heads": 2, "mlp_width": 16, "layers": 2, "norm": "post"},
    }
    fields = {"modulus": 7} if "modulus" in TASKS.member(task).__dataclass_fields__ else {}
    if "bits" in TASKS.member(task).__dataclass_fields__:
        fields = {"bits": 6, "samples": 50}
    if "group" in TASKS.member(task).__dataclass_fields__:
        fields = {"group": "S3"}
    config = RunConfig.from_dict(
        {
            "task": {"name": task, **fields},
            "model": sections[model],
            "optimizer": {"name": "adamw", "rate": 0.01},
            "fraction": 0.6,
            "steps": 5,
            "dtype": "float64",
        }
    )
    (plain,) = train([config], measures="none")
    (record,) = Cohort([config], OnCpu(), measures="none").advance()
    np.testing.assert_allclose(record.final["val_loss"], plain.final["val_loss"], rtol=1e-10)
    np.testing.assert_allclose(record.final["train_loss"], plain.final["train_loss"], rtol=1e-10)


def test_grids_are_found_where_they_are():
    table = {name: TASKS.member(name)(modulus=7).table for name in ("modular_addition", "modular_division")}
    assert Grid.of(table["modular_addition"]) == Grid((0, 0), (7, 7))
    assert Grid.of(table["modular_division"]) == Grid((0, 1), (7, 6))
    assert Grid.of(TASKS.member("toy_addition")().table) is None
    assert Grid.of(TASKS.member("parity")(bits=8, samples=50).table) is None


def test_fractions_and_seeds_are_one_shape_and_milestones_are_known_to_the_step():
    runs = [double("adamw", seed=seed, fraction=fraction) for seed, fraction in enumerate((0.3, 0.5, 0.7, 0.9))]
    runs = [
        RunConfig.from_dict({**run.to_dict(), "steps": 400, "optimizer": {"name": "adamw", "rate": 0.003}})
        for run in runs
    ]
    cohort = Cohort(runs, OnCpu(), measures="none")
    assert len({id(run) for run in cohort.runs}) == 4
    records = {record.run_id: record for record in cohort.advance()}
    for run in runs:
        exact = records[run.run_id]
        # Every step looked at, one by one.
        alone = Cohort([run], measures="none")
        accuracies = []
        for step in range(401):
            alone.train_to(step)
            _, right = alone.stack.examine()
            counts = alone.stack.examples.train_counts, alone.stack.examples.val_counts
            accuracies.append([float((right * c).sum().double() / c.sum()) for c in counts])
        for column, split in enumerate(("train", "val")):
            for threshold in (0.5, 0.9, 0.99):
                reached = [step for step, row in enumerate(accuracies) if row[column] >= threshold]
                milestone = exact.milestone(split, threshold)
                assert milestone.event == bool(reached)
                if reached:
                    assert milestone.step == reached[0]
        extra = np.isnan(exact.columns["train_loss"])
        assert np.isfinite(exact.columns["train_accuracy"]).all()
        assert not extra[-1]
        assert (np.diff(exact.columns["step"]) > 0).all()


def test_runs_that_are_over_stay_in_the_stack_until_leaving_them_pays(monkeypatch):
    monkeypatch.setattr(cuda, "RECORDING", 13.0)
    budgets = (40, 60, 80, 140)
    runs = [double("adamw", seed=seed) for seed in range(4)]
    runs = [RunConfig.from_dict({**run.to_dict(), "steps": steps}) for run, steps in zip(runs, budgets, strict=True)]
    plain = {record.run_id: record for record in train(runs, measures="none")}
    cohort, sizes, records = Cohort(runs, OnCpu(), measures="none"), [], []
    while not cohort.done:
        found = cohort.advance(seconds=0)
        records += found
        sizes.append((len(records), len(cohort.flat)))
    assert {size for size in sizes} >= {(0, 4), (1, 4), (2, 2), (3, 1)}
    for record in records:
        np.testing.assert_allclose(record.final["val_loss"], plain[record.run_id].final["val_loss"], rtol=1e-10)
        assert record.steps == record.config.steps


def test_a_pause_changes_nothing():
    runs = [double("grokfast ma", seed=seed) for seed in range(3)]
    straight = {record.run_id: record for record in Cohort(runs, OnCpu(), measures="none").advance()}
    cohort, records = Cohort(runs, OnCpu(), measures="none"), []
    while not cohort.done:
        records += cohort.advance(seconds=0)
        cohort = Cohort.from_bytes(cohort.to_bytes(), runs, OnCpu(), measures="none")
    for record in records:
        for name, values in straight[record.run_id].columns.items():
            np.testing.assert_array_equal(values, record.columns[name], err_msg=name)


def test_transformers_on_a_grid_have_a_kernel_of_their_own():
    config = double("power")
    full = RunConfig.from_dict({**config.to_dict(), "batch": "full"})
    assert isinstance(Cohort([full], OnCpu(), measures="none").kernel, GridKernel)


@pytest.mark.parametrize("way", ["power in minibatches", "minibatches"])
def test_minibatches_are_drawn_on_the_card_as_on_the_host(way):
    runs = [double(way, seed=seed, fraction=0.5 + 0.1 * seed) for seed in range(3)]
    host, card = (Cohort(runs, device, measures="none") for device in ("cpu", OnCpu()))
    for start in (0, 64, 70):
        steps = list(range(start, start + 40))
        card.stack.examples.begin(steps)
        for i, step in enumerate(steps):
            card.stack._counter.fill_(i)
            host.stack.examples.begin([step])
            theirs, ours = host.stack.examples.batch(0), card.stack.examples.batch(i)
            size = ours.targets.shape[1]
            assert torch.equal(ours.inputs, theirs.inputs[:, :size])
            assert torch.equal(ours.targets, theirs.targets[:, :size])
