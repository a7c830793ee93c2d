"""Batches: the examples of several runs, side by side: all of them, those trained on, and the next minibatch.

Shapes: K runs, D distinct examples (padded), N examples of a batch (padded; padding has weight 0), P positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grokcore.data.batch import Batch
from grokcore.data.bucketing import bucket
from grokcore.data.deduplication import examples_of
from grokcore.data.run_examples import RunExamples
from grokcore.numerics.vectors import VECTOR


class Batches:
    """What the runs of a cohort learn from and are looked at with."""

    everything: Batch
    """Every distinct example of the task, (K, D)."""
    train_counts: Tensor
    """(K, D): how often each is trained on."""
    val_counts: Tensor
    """(K, D): how often each validates."""
    rows: Tensor
    """Which distinct example each row of the task's table is."""
    full: Batch | None
    """The training sets, (K, N), where runs train on all of theirs at every step."""

    def __init__(self, runs: Sequence[RunExamples], device: str, dtype: torch.dtype) -> None:
        self.runs, self.device, self.dtype = runs, device, dtype
        first = runs[0].config
        self.table, self.size, self.shared = first.task.table, first.batch, examples_of(first)
        self.rows = self._put(self.shared.of_row)
        missing = -len(self.shared.targets) % VECTOR
        inputs = self._put(np.pad(self.shared.inputs, ((0, missing), (0, 0)))).expand(len(runs), -1, -1)
        targets, self.train_counts, self.val_counts = (
            self._put(np.stack([np.pad(getattr(run, name), (0, missing)) for run in runs]))
            for name in ("targets", "train_counts", "val_counts")
        )
        scales = self._scales([run.config.output_scale for run in runs])
        self.everything = Batch(inputs, targets, (self.train_counts + self.val_counts).to(dtype), scales)
        self.full = self._full() if self.size == "full" else None

    def next(self) -> Batch:
        """Return what the next update learns from; minibatches are drawn anew at each call."""
        return self.full if self.full is not None else self.draw()

    def draw(self) -> Batch:
        """Return the next minibatch of every run, padded with weight 0."""
        size = int(self.size)
        rows = np.stack([run.next_batch(size) for run in self.runs])
        rows = np.pad(rows, ((0, 0), (0, -size % VECTOR)))
        weights = np.zeros(rows.shape)
        weights[:, :size] = 1.0 / size
        of_row = self.shared.of_row
        targets = np.stack([run.targets[of_row[own]] for run, own in zip(self.runs, rows, strict=True)])
        return self._training(self.table.inputs[rows], targets, weights)

    def training_set(self) -> Batch:
        """Return all training examples of every run as one batch."""
        if self.full is not None:
            return self.full
        counts, everything = self.train_counts.cpu().numpy(), self.everything
        return self._training(
            everything.inputs.cpu().numpy(), everything.targets.cpu().numpy(), counts / counts.sum(1, keepdims=True)
        )

    def _full(self) -> Batch:
        """Return every run's distinct training examples, padded to the bucket with weight 0."""
        chosen = [np.flatnonzero(run.train_counts) for run in self.runs]
        size = bucket(max(len(rows) for rows in chosen))
        rows = np.zeros((len(chosen), size), dtype=np.int64)
        weights = np.zeros((len(chosen), size))
        for k, (run, own) in enumerate(zip(self.runs, chosen, strict=True)):
            rows[k, : len(own)] = own
            weights[k, : len(own)] = run.train_counts[own] / len(run.train_rows)
        targets = np.stack([run.targets[own] for run, own in zip(self.runs, rows, strict=True)])
        return self._training(self.shared.inputs[rows], targets, weights)

    def _training(self, inputs: Any, targets: Any, weights: Any) -> Batch:
        """Return a batch whose loss is that of scaled outputs."""
        scales = self._scales([run.config.output_scale / run.config.temperature for run in self.runs])
        shares = self._put(weights).to(self.dtype)
        return Batch(
            self._put(inputs), self._put(targets), shares if scales is None else shares * scales[..., 0], scales
        )

    def _put(self, array: Any) -> Tensor:
        return torch.from_numpy(np.array(array)).to(self.device)

    def _scales(self, values: list[float]) -> Tensor | None:
        if all(value == 1 for value in values):
            return None
        return torch.tensor(values, dtype=self.dtype, device=self.device)[:, None, None]
