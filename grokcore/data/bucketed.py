"""The bucketed layout: each run's own training examples and nothing else, padded to a size that few runs have alone.

What suits a processor's core: no row is computed that does not train, and examples that a network cannot tell apart are
computed once. Runs of other fractions have other shapes.

Shapes: K runs, N examples of a batch (padded to the bucket), P positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from grokcore.data.batch import Batch
from grokcore.data.bucketing import bucket, distinct_count
from grokcore.data.deduplication import examples_of
from grokcore.data.examples import Examples
from grokcore.data.run_examples import RunExamples
from grokcore.lazy_torch import torch
from grokcore.numerics.vectors import VECTOR
from grokcore.run_config import RunConfig


class Bucketed(Examples):
    """Training sets padded to a bucket, or minibatches."""

    name: ClassVar[str] = "bucketed"

    def __init__(
        self, runs: Sequence[RunExamples], device: torch.device, dtype: torch.dtype, *, collects: bool = True
    ) -> None:
        super().__init__(runs, device, dtype)
        first = runs[0].config
        self.collects, self.table, self.size, self.shared = collects, first.task.table, first.batch, examples_of(first)
        self._lay_out(self.shared, -len(self.shared.targets) % VECTOR)
        self._steps: Sequence[int] = ()
        self.full = self._full() if self.size == "full" else None

    @classmethod
    def of_run(cls, config: RunConfig) -> RunExamples:
        """Return a run's own examples, those that its network cannot tell apart as one."""
        return RunExamples(config, examples_of(config))

    @classmethod
    def shape(cls, config: RunConfig) -> dict[str, Any]:
        """Return the size of the bucket."""
        return {"examples": bucket(distinct_count(config))} if config.batch == "full" else {}

    def begin(self, steps: Sequence[int]) -> None:
        """Note the steps; minibatches are drawn when they are needed."""
        self._steps = steps

    def batch(self, i: int) -> Batch:
        """Return the training sets, or the next minibatches."""
        return self.full if self.full is not None else self._minibatch(self._steps[i])

    def training_set(self) -> Batch:
        """Return all training examples of every run as one batch."""
        if self.full is not None:
            return self.full
        shares = self.train_counts.double() / self.train_counts.sum(1, keepdim=True)
        return self.trained_on(self.everything.inputs, self.everything.targets, shares, collects=self.collects)

    def _minibatch(self, step: int) -> Batch:
        """Return the minibatches of an update, padded with weight 0."""
        size = int(self.size)
        rows = np.zeros((len(self.runs), size + -size % VECTOR), dtype=np.int64)
        weights = np.zeros(rows.shape)
        weights[:, :size] = 1.0 / size
        for own, run in zip(rows, self.runs, strict=True):
            own[:size] = run.minibatch(step)
        of_row = self.shared.of_row
        targets = np.stack([run.targets[of_row[own]] for run, own in zip(self.runs, rows, strict=True)])
        return self._trained_on(self.table.inputs[rows], targets, weights, rows)

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
        return self._trained_on(self.shared.inputs[rows], targets, weights, rows)

    def _trained_on(self, inputs: Any, targets: Any, weights: Any, rows: Any) -> Batch:
        # With dropout, which asks for the rows, every row of the table is a distinct example.
        inputs, targets, weights, rows = (self.put(values) for values in (inputs, targets, weights, rows))
        return self.trained_on(inputs, targets, weights, rows=rows, collects=self.collects)
