"""Kept weights: a run's networks at log-spaced steps, on disk, and measures taken of them later.

``FOLDER/weights/RUN_ID/STEP.safetensors`` holds the tensors by name; its metadata say run, step and configuration, so
that a file explains itself. Measured later or while training, a number is the same to the last bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from grokcore.checkpoint import write_atomically
from grokcore.cohort import Cohort, Keep, one_thread
from grokcore.config import RunConfig
from grokcore.errors import CheckpointError
from grokcore.measures import _fourier
from grokcore.measures.base import Choice, Need, columns_of, defined_measures, skipped_measures, take
from grokcore.measures.view import View
from grokcore.record import Outcome, RunRecord
from grokcore.retirement import Retirement

LACKING: frozenset[Need] = frozenset({"update"})
"""What kept weights do not offer to measures."""


def pack_weights(config: RunConfig, step: int, weights: Mapping[str, Tensor]) -> bytes:
    """Return a run's weights at a step as the content of a safetensors file."""
    facts = {"run_id": config.run_id, "step": str(step), "config": json.dumps(config.to_dict(), sort_keys=True)}
    return save({name: value.contiguous() for name, value in weights.items()}, metadata=facts)


def weights_path(folder: Path, run_id: str, step: int) -> Path:
    """Return where the weights of a run at a step are kept."""
    return folder / "weights" / run_id / f"{step:08d}.safetensors"


class WeightFolder:
    """Keeps weights under a folder; what a cohort's `keep` can be."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def __call__(self, config: RunConfig, step: int, weights: Mapping[str, Tensor]) -> None:
        """Write the weights whole or not at all."""
        write_atomically(weights_path(self.folder, config.run_id, step), pack_weights(config, step, weights))


def kept_steps(folder: Path, run_id: str) -> list[int]:
    """Return the steps at which a run's weights are kept, in order; raises `CheckpointError` if there are none."""
    found = sorted(
        int(path.stem) for path in (folder / "weights" / run_id).glob("*.safetensors") if path.stem.isdigit()
    )
    if not found:
        raise CheckpointError(
            f"no weights of run {run_id} are kept in {folder / 'weights'}; train it with --keep-weights, "
            f"or again from its configuration: grokmap show {run_id} --again"
        )
    return found


def read_weights(folder: Path, config: RunConfig, step: int) -> dict[str, Tensor]:
    """Return a run's weights at a step; raises `CheckpointError` if missing, damaged or another configuration's."""
    path = weights_path(folder, config.run_id, step)
    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - a handle, not a mapping
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such file; train the run again with --keep-weights.") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); delete it and train again with --keep-weights."
        ) from error
    if facts.get("run_id") != config.run_id:
        raise CheckpointError(
            f"{path} holds run {facts.get('run_id')!r}, not {config.run_id}: another configuration's; delete it."
        )
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    if shapes != config.model.shapes(config.task):
        raise CheckpointError(f"{path} does not hold this model's tensors; delete it and train the run again.")
    return weights


def kept_views(folder: Path, config: RunConfig, steps: list[int] | None = None) -> Iterator[tuple[int, View]]:
    """Yield each kept step, or those of `steps`, and the view of the network there, with the final key frequencies."""
    there = kept_steps(folder, config.run_id)
    cohort = Cohort([config], measures="none")

    def view(step: int) -> View:
        weights = read_weights(folder, config, step)
        cohort.flat.copy_(cohort.layout.pack([weights], cohort.dtype))
        return replace(cohort.view(), update=None)

    has_frequencies = _fourier.no_frequencies(config.task, config.model) is None
    keys = _fourier.keys(view(there[-1]).energies) if has_frequencies else None
    for step in there if steps is None else steps:
        yield step, replace(view(step), keys=keys)


def measure_kept(folder: Path, config: RunConfig, choice: Choice, steps: list[int] | None = None) -> pd.DataFrame:
    """Return the measures of `choice` at every kept step: `step` and a column for each number, NaN where absent."""
    found = defined_measures(config.task, config.model, choice, LACKING)
    rows = []
    with one_thread("cpu"), torch.no_grad():
        for step, view in kept_views(folder, config, steps):
            (values,) = take(found, view)
            rows.append({"step": step, **values})
    return pd.DataFrame(rows, columns=["step", *columns_of(found, config.task, config.model)])


def not_measured(config: RunConfig, choice: Choice) -> dict[str, str]:
    """Return the measures of `choice` that kept weights of this run do not give, each with its reason."""
    return skipped_measures(choice, config.task, config.model, LACKING)


def train_again(
    record: RunRecord, keep: Keep | None = None, progress: Callable[[int], None] | None = None
) -> RunRecord:
    """Train a finished run once more and return its record, which has the same bits; `keep` takes its weights.

    `progress` is called with the step now and then.
    """
    retirement = Retirement() if record.outcome is Outcome.RETIRED else None
    cohort = Cohort([record.config], retirement=retirement, measures="none", keep=keep)
    again: list[RunRecord] = []
    while not cohort.done:
        again += cohort.advance(seconds=0.2)
        if progress is not None:
            progress(cohort.step)
        if record.outcome is Outcome.STOPPED and cohort.step >= record.steps:
            cohort.stop(record.run_id, record.reason)
    return again[0]
