"""A sweep so small that its runs train in a moment, and its runs, without Ray: for pages, tables and trackers."""

import dataclasses
from typing import Any

import optuna

import grokcore
from grokcore.records.regimes import RegimeRule
from grokcore.records.run_record import RunRecord
from sweeps.spec.space import Range
from sweeps.spec.sweep_spec import SweepSpec

SPEC = SweepSpec(
    name="tiny",
    run={
        "task": {"name": "modular_addition", "modulus": 7},
        "model": {"name": "mlp", "width": 16},
        "optimizer": {"name": "adamw", "rate": 0.02, "betas": [0.9, 0.98]},
        "steps": 200,
    },
    space={"fraction": Range(low=0.4, high=0.9), "decay": Range(low=0.01, high=3, log=True)},
    rule=RegimeRule(budget=200, ratio=3.0),
    runs=12,
)


def tiny(name: str, **changes: Any) -> SweepSpec:
    """Return such a sweep under a name of its own."""
    return dataclasses.replace(SPEC, name=name, **changes)


def trained(spec: SweepSpec) -> list[tuple[dict[str, Any], RunRecord]]:
    """Train all runs of a sweep here and now; return what its sampler chose for each, and its record."""
    study = optuna.create_study(sampler=spec.built_sampler.build(spec.problem))
    space = spec.whole_space
    asked = [study.ask(space.distributions).params for _ in range(spec.runs)]
    return list(zip(asked, grokcore.train([space.config(params) for params in asked]), strict=True))
