"""Member: one run of a cohort, all of it that is not stacked: its split, its batches, its curves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from grokcore.clock import evaluation_steps, measure_steps
from grokcore.config import RunConfig
from grokcore.milestones import first_passage
from grokcore.randomness import generator, split
from grokcore.record import Outcome, RunRecord
from grokcore.retirement import Retirement
from grokcore.sharing import examples_of

LOSSES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
"""The curves that every run has, in this order."""

LOOK = 5
"""What the measures that look at the whole table cost together, about, in training steps on as many examples."""

STABLE = 0.9
"""Accuracy that a run must still have at its end, once reached, not to be called unstable."""


class Member:
    """A run's own data and what has been seen of it so far."""

    def __init__(self, config: RunConfig, measures: tuple[str, ...]) -> None:
        self.config = config
        self.names = ("step", *LOSSES, *measures)
        self.seen: list[list[float]] = []
        self.train_rows, self.val_rows = split(config)
        shared = examples_of(config)
        self.train_counts = shared.counts(self.train_rows)
        self.val_counts = shared.counts(self.val_rows)
        self.targets = shared.targets
        """(D,) class of each distinct example in this run: with label noise, that of some training rows is wrong."""
        if config.task.label_noise:
            self.targets = shared.targets.copy()
            self.targets[self.train_rows] = config.task.train_targets(self.train_rows, config.seed)
        self.evaluations = frozenset(evaluation_steps(config.steps))
        self.measurements = measure_steps(config.steps)
        batch = len(self.train_rows) if config.batch == "full" else int(config.batch)
        self.looks = measure_steps(config.steps, math.ceil(LOOK * len(config.task.table.inputs) / batch))
        """Those at which costly measures are taken too: never more often than they cost steps."""
        self.batches = generator(config.seed, "batches")
        self.order: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.cursor = 0
        self.diverged = -1
        """Step from which on its loss or weights are not finite; −1 while they are."""

    def next_batch(self, size: int) -> npt.NDArray[np.int64]:
        """Return the next `size` table rows of the run's own random order; an incomplete rest of an epoch is left."""
        if self.cursor + size > len(self.order):
            self.order = self.train_rows[torch.randperm(len(self.train_rows), generator=self.batches).numpy()]
            self.cursor = 0
        self.cursor += size
        return self.order[self.cursor - size : self.cursor]

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return what a checkpoint must hold of the run beside its weights: curves, generator, order of examples."""
        return {
            "seen": torch.tensor(self.seen, dtype=torch.float64),
            "generator": self.batches.get_state(),
            "order": torch.from_numpy(self.order.copy()),
            "cursor": torch.tensor(self.cursor),
            "diverged": torch.tensor(self.diverged),
        }

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take over what `tensors` returned."""
        self.seen = tensors["seen"].tolist()
        self.batches.set_state(tensors["generator"])
        self.order = tensors["order"].numpy()
        self.cursor = int(tensors["cursor"])
        self.diverged = int(tensors["diverged"])

    def see(self, step: int, losses: list[float], measures: dict[str, float]) -> None:
        """Note an evaluation; measures that were not taken are NaN."""
        row = [float(step), *losses]
        row += [measures.get(name, float("nan")) for name in self.names[len(row) :]]
        if self.seen and self.seen[-1][0] == step:
            self.seen.pop()
        self.seen.append(row)

    def column(self, name: str) -> list[float]:
        """Return one curve so far."""
        index = self.names.index(name)
        return [row[index] for row in self.seen]

    def outcome(self, step: int, retirement: Retirement | None, *, finite: bool) -> Outcome | None:
        """Say whether the run is over after `step` steps, and how it ended."""
        if not finite:
            return Outcome.DIVERGED
        if step >= self.config.steps:
            steps = self.column("step")
            for name in ("train_accuracy", "val_accuracy"):
                curve = self.column(name)
                if first_passage(np.array(steps, dtype=np.int64), curve, STABLE).event and curve[-1] < STABLE:
                    return Outcome.UNSTABLE
            return Outcome.FINISHED
        if retirement is not None:
            steps, train, val = (self.column(name) for name in ("step", "train_accuracy", "val_accuracy"))
            if retirement.due([int(s) for s in steps], train, val):
                return Outcome.RETIRED
        return None

    def record(self, outcome: Outcome, environment: dict[str, Any], reason: str = "") -> RunRecord:
        """Return the run's record."""
        columns: dict[str, npt.NDArray[Any]] = {name: np.array(self.column(name)) for name in self.names}
        columns["step"] = columns["step"].astype(np.int64)
        return RunRecord(config=self.config, outcome=outcome, columns=columns, environment=environment, reason=reason)
