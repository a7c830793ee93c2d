"""What the tests of the sweeps share: a small specification, and records made without training."""

import dataclasses

import numpy as np
import pytest

from grokcore.records.regimes import RegimeRule
from grokcore.records.run_record import Outcome, RunRecord
from sweeps.spec.space import Choice, Range
from sweeps.spec.sweep_spec import SweepSpec

RUN = {
    "task": {"name": "modular_addition", "modulus": 7},
    "model": {"name": "mlp", "width": 8},
    "optimizer": {"name": "adamw", "betas": [0.9, 0.98]},
    "steps": 40,
}


@pytest.fixture
def spec():
    return SweepSpec(
        name="small",
        run=RUN,
        space={
            "fraction": Range(low=0.3, high=0.9),
            "decay": Range(low=0.01, high=10, log=True),
            "rate": Range(low=1e-3, high=0.1, log=True),
            "seed": Choice(values=(0, 1, 2)),
        },
        rule=RegimeRule(budget=40, ratio=5.0),
        runs=24,
        width=4,
    )


@pytest.fixture
def changed():
    """Return a spec with some fields changed."""
    return dataclasses.replace


@pytest.fixture
def pretend():
    """Return a record of `config` whose accuracies jump to 1 where simple formulas of decay and fraction say."""

    def record(config, outcome=Outcome.FINISHED):
        steps = np.array([0, 1, 2, 5, 10, 20, config.steps], dtype=np.int64)
        mem = 2 if config.optimizer.decay < 5 else config.steps + 1
        gen = max(mem, 4 / config.optimizer.decay / config.fraction)
        columns = {
            "step": steps,
            "train_loss": 1.0 / (steps + 1.0),
            "train_accuracy": (steps >= mem).astype(float),
            "val_loss": 2.0 / (steps + 1.0),
            "val_accuracy": (steps >= gen).astype(float),
            "weight_norm": np.where(steps % 2 == 0, steps + 1.0, np.nan),
        }
        return RunRecord(config=config, outcome=outcome, columns=columns, environment={"device": "pretended"})

    return record
