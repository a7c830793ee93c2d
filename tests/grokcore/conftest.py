"""Configurations that many tests of the engine share."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from grokcore import RunConfig
from grokcore.engine.cohort import Cohort

ADDITION = {"name": "modular_addition", "modulus": 13}
SMALL_MLP = {"name": "mlp", "width": 24, "inputs": "embedding"}
SMALL_TRANSFORMER = {"name": "transformer", "width": 16, "heads": 4, "mlp_width": 24}


@pytest.fixture
def make_config():
    """Return a maker of small configurations; nested or dotted names override."""

    def make(**changes: Any) -> RunConfig:
        values: dict[str, Any] = {
            "task": {"name": "modular_addition", "modulus": 13},
            "model": SMALL_MLP,
            "optimizer": {"name": "adamw", "rate": 5e-3, "decay": 0.5},
            "fraction": 0.6,
            "steps": 60,
            "seed": 0,
        }
        dotted = {name.replace("__", "."): value for name, value in changes.items()}
        return RunConfig.from_dict({**values, **dotted})

    return make


@pytest.fixture(params=["mlp", "transformer"])
def model(request):
    """Return one small model section after the other."""
    return {"mlp": SMALL_MLP, "transformer": SMALL_TRANSFORMER}[request.param]


@pytest.fixture
def make_view():
    """Return a maker of views: of initial networks, or with some parameters put in place of the drawn ones."""

    def make(*placed, task=ADDITION, model=None, seeds=1, **changes):
        values = {
            "task": task,
            "model": model or {"name": "mlp", "width": 16, "inputs": "embedding"},
            "optimizer": {"name": "adamw", "rate": 1e-3},
            "fraction": 0.5,
            "steps": 10,
            "dtype": "float64",
            **changes,
        }
        count = max(seeds, len(placed))
        cohort = Cohort([RunConfig.from_dict({**values, "seed": seed}) for seed in range(count)])
        for k, parameters in enumerate(placed):
            for name, value in parameters.items():
                cohort.parameters[name][k].copy_(torch.as_tensor(value))
        return cohort.view()

    return make
