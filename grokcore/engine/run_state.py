"""Run state: one run of a cohort, all of it that is not stacked: its examples, and what has been seen of it so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from grokcore.data.run_examples import RunExamples
from grokcore.engine.early_stopping import EarlyStopping
from grokcore.engine.evaluation_schedule import evaluation_steps, measure_steps
from grokcore.lazy_torch import torch
from grokcore.records.milestones import THRESHOLDS, first_passage, forgetting
from grokcore.records.run_record import Ending, Outcome, RunRecord
from grokcore.run_config import RunConfig

LOSSES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
"""The curves that every run has, in this order."""

LOOK = 5
"""What the measures that look at the whole table cost together, about, in training steps on as many examples."""

STABLE = 0.9
"""Accuracy that a run must still have at its end, once reached, not to be called unstable or forgotten."""


class RunState:
    """A run's own examples and what has been seen of it so far."""

    def __init__(self, config: RunConfig, examples: RunExamples, measures: tuple[str, ...]) -> None:
        self.config = config
        self.names = ("step", *LOSSES, *measures)
        self.seen: list[list[float]] = []
        self.examples = examples
        self.over = False
        """Whether it has its record, and trains on only until the others leave it behind."""
        self.evaluations = frozenset(evaluation_steps(config.steps))
        self.measurements = measure_steps(config.steps)
        apart = math.ceil(LOOK * len(config.task.table.inputs) / self.examples.batch_size)
        self.looks = measure_steps(config.steps, apart)
        """Those at which costly measures are taken too: never more often than they cost steps."""
        self.diverged = -1
        """Step from which on its loss or weights are not finite; −1 while they are."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return what a checkpoint must hold of the run beside its weights."""
        return {
            "seen": torch.tensor(self.seen, dtype=torch.float64),
            "diverged": torch.tensor(self.diverged),
        }

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take over what `tensors` returned. Raises `ValueError` for what it cannot have returned."""
        seen = tensors["seen"]
        if seen.dtype != torch.float64 or seen.shape != (len(seen), len(self.names)) or not len(seen):
            raise ValueError(f"curves of {tuple(seen.shape)}, expected (evaluations, {len(self.names)})")
        if not bool((seen[1:, 0] > seen[:-1, 0]).all()) or not bool((seen[:, 0] == seen[:, 0].round()).all()):
            raise ValueError("curves whose steps do not ascend")
        self.seen = seen.tolist()
        self.diverged = int(tensors["diverged"])

    def see(self, step: int, losses: list[float], measures: dict[str, float]) -> None:
        """Note an evaluation; measures that were not taken are NaN."""
        row = [float(step), *losses]
        row += [measures.get(name, float("nan")) for name in self.names[len(row) :]]
        if self.seen and self.seen[-1][0] == step:
            self.seen.pop()
        self.seen.append(row)

    def see_crossings(self, start: int, accuracies: npt.NDArray[np.float64]) -> None:
        """Note when accuracies first reached thresholds between evaluations.

        `accuracies` (T, 2) are those of both splits before the updates from number `start` on. A step at which one
        passes a threshold that it had not passed becomes a row of the curves; losses and measures are NaN there.
        """
        best = [max(self.column(name), default=0.0) for name in ("train_accuracy", "val_accuracy")]
        missing = [[threshold for threshold in THRESHOLDS if threshold > reached] for reached in best]
        if not any(missing) or not any((accuracies[:, i] >= min(m)).any() for i, m in enumerate(missing) if m):
            return
        for i, (train, val) in enumerate(accuracies.tolist()):
            step = start + i
            if any(m and value >= m[0] for value, m in zip((train, val), missing, strict=True)):
                missing = [[t for t in m if t > value] for value, m in zip((train, val), missing, strict=True)]
                if step not in self.evaluations:
                    self.see(step, [math.nan, train, math.nan, val], {})

    def column(self, name: str) -> list[float]:
        """Return one curve so far."""
        index = self.names.index(name)
        return [row[index] for row in self.seen]

    def outcome(self, step: int, early_stopping: EarlyStopping | None, *, finite: bool) -> Outcome | None:
        """Say whether the run is over after `step` steps, and how it ended."""
        if not finite:
            return Outcome.DIVERGED
        if step >= self.config.steps:
            steps = self.column("step")
            if forgetting(np.array(steps, dtype=np.int64), self.column("val_accuracy"), STABLE).event:
                return Outcome.FORGOTTEN
            for name in ("train_accuracy", "val_accuracy"):
                curve = self.column(name)
                if first_passage(np.array(steps, dtype=np.int64), curve, STABLE).event and curve[-1] < STABLE:
                    return Outcome.UNSTABLE
            return Outcome.FINISHED
        if early_stopping is not None:
            steps, train, val = (self.column(name) for name in ("step", "train_accuracy", "val_accuracy"))
            if early_stopping.due([int(s) for s in steps], train, val):
                return Outcome.RETIRED
        return None

    def record(self, ending: Ending, environment: dict[str, Any]) -> RunRecord:
        """Return the run's record."""
        return RunRecord(config=self.config, columns=self.curves(), environment=environment, **ending._asdict())

    def curves(self) -> dict[str, npt.NDArray[Any]]:
        """Return all that has been seen so far, by column."""
        columns: dict[str, npt.NDArray[Any]] = {name: np.array(self.column(name)) for name in self.names}
        columns["step"] = columns["step"].astype(np.int64)
        return columns
