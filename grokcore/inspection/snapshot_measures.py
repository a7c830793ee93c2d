"""Measures of weight snapshots, taken after a run is over: the same numbers, to the last bit, as while it trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from grokcore.algebra.fourier import keys
from grokcore.engine.cohort import Cohort
from grokcore.engine.devices.named import device_named
from grokcore.lazy_torch import torch
from grokcore.measures.base import MeasureChoice, Need, columns_of, defined_measures, skipped_measures, take
from grokcore.records.weight_snapshots import read_snapshot, snapshot_steps
from grokcore.run_config import RunConfig
from grokcore.views.characters import no_spectrum
from grokcore.views.view import View

NOT_IN_SNAPSHOTS: frozenset[Need] = frozenset({"update"})
"""What weight snapshots do not offer to measures."""


def snapshot_views(folder: Path, config: RunConfig, steps: list[int] | None = None) -> Iterator[tuple[int, View]]:
    """Yield each snapshot's step, or those of `steps`, and the view of the network there, with the final keys."""
    there = snapshot_steps(folder, config.run_id)
    cohort = Cohort([config], measures="none")

    def view(step: int) -> View:
        weights = read_snapshot(folder, config, step)
        cohort.flat.copy_(cohort.stack.flat_parameters.pack([weights], cohort.flat.dtype))
        return replace(cohort.view(), update=None)

    has_frequencies = no_spectrum(config.task, config.model) is None
    final = keys(view(there[-1]).energies) if has_frequencies else None
    for step in there if steps is None else steps:
        yield step, replace(view(step), keys=final)


def measure_snapshots(
    folder: Path, config: RunConfig, choice: MeasureChoice, steps: list[int] | None = None
) -> pd.DataFrame:
    """Return the measures of `choice` at every snapshot step: `step` and a column for each number, NaN where absent."""
    found = defined_measures(config.task, config.model, choice, NOT_IN_SNAPSHOTS)
    rows = []
    with device_named("cpu").computing(), torch.no_grad():
        for step, view in snapshot_views(folder, config, steps):
            (values,) = take(found, view)
            rows.append({"step": step, **values})
    return pd.DataFrame(rows, columns=["step", *columns_of(found, config.task, config.model)])


def not_measured(config: RunConfig, choice: MeasureChoice) -> dict[str, str]:
    """Return the measures of `choice` that weight snapshots of this run do not give, each with its reason."""
    return skipped_measures(choice, config.task, config.model, NOT_IN_SNAPSHOTS)
