"""Known runs: a run of a sweep as a forecast knows it, on the way and when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from analysis.forecast.forecaster import KnownRun
from grokcore.records.run_record import RunRecord
from grokcore.run_config import RunConfig
from sweeps.stopping.base import NOTHING, Expected


def known_run(config: RunConfig, curves: Mapping[str, Any], budget: int, expected: Expected = NOTHING) -> KnownRun:
    """Return a run as a forecast knows it on the way, asked about what it is by `budget`."""
    flat = config.to_flat()
    settings = {"rate": flat.get("optimizer.rate"), "decay": flat.get("optimizer.decay"), "expected": expected.chance}
    steps = min(budget, config.steps)
    return KnownRun(curves=curves, settings=settings, budget=steps, level=expected.level)


def finished_run(record: RunRecord, budget: int, threshold: float, expected: Expected = NOTHING) -> KnownRun:
    """Return a run that is over as a forecaster learns from it."""
    return replace(
        known_run(record.config, record.columns, budget, expected),
        t_gen=record.milestone("val", threshold),
        t_mem=record.milestone("train", threshold),
        family=record.config.task.family,
    )
