"""The full-table layout: every row of the task's table, in its order, in every run; validation rows weigh nothing.

What suits a graphics card: every fraction and every seed is one shape, so that hundreds of runs share their kernels;
the inputs are one constant, so that where they are all pairs of symbols nothing is looked up; as validation rows
pass through the network too, their accuracy is known at every step. The cost is the share of rows that do not train.

Shapes: K runs, N rows of the task's table, P positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from grokcore.data.batch import Batch, Grid
from grokcore.data.deduplication import distinct_examples
from grokcore.data.examples import Examples
from grokcore.data.run_examples import RunExamples
from grokcore.lazy_torch import torch
from grokcore.run_config import RunConfig


class FullTable(Examples):
    """All rows, each with a weight per run."""

    name: ClassVar[str] = "full_table"

    def __init__(self, runs: Sequence[RunExamples], device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(runs, device, dtype)
        first = runs[0].config
        table = first.task.table
        self._lay_out(distinct_examples(first.model, first.task, apart=True), 0)
        self.grid = Grid.of(table)
        self.full = self.trained_on(
            self.everything.inputs,
            self.everything.targets,
            self.train_counts.double() / self.train_counts.sum(1, keepdim=True),
            grid=self.grid,
            collects=False,
            rows=self.rows.expand(len(runs), -1),
            watched=torch.stack([self.train_counts, self.val_counts], dim=2).to(dtype),
            right=torch.zeros(len(runs), 2, dtype=dtype, device=device),
        )
        self.everything = Batch(
            self.everything.inputs,
            self.everything.targets,
            self.everything.weights,
            self.everything.scale,
            grid=self.grid,
            collects=False,
        )

    @classmethod
    def of_run(cls, config: RunConfig) -> RunExamples:
        """Return a run's own examples; every row of the table is one."""
        return RunExamples(config, distinct_examples(config.model, config.task, apart=True))

    @classmethod
    def shape(cls, config: RunConfig) -> dict[str, Any]:  # noqa: ARG003
        """Return nothing: all runs on a task have its rows."""
        return {}

    @classmethod
    def serves(cls, config: RunConfig) -> bool:
        """Say that runs train on all of their examples at every step; a minibatch is far smaller than the table."""
        return config.batch == "full"

    def begin(self, steps: Sequence[int]) -> None:
        """Do nothing: every step learns from the same."""

    def batch(self, i: int) -> Batch:  # noqa: ARG002
        """Return every row."""
        return self.full

    def training_set(self) -> Batch:
        """Return every row."""
        return self.full
