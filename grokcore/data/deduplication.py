"""Sharing: examples that a model cannot tell apart are computed once, and counted as often as they occur.

A model that sums its operands' embeddings sees (a, b) and (b, a) as one input; where their targets agree too, they
are one distinct example of weight two. Losses and gradients are the same sums in another order.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grokcore.models.base import Model
from grokcore.run_config import RunConfig
from grokcore.tasks.base import Task


@dataclass(frozen=True)
class DistinctExamples:
    """The distinct examples of a task's table, as one model sees it."""

    inputs: npt.NDArray[np.int64]
    """(D, P) tokens of each distinct example."""
    targets: npt.NDArray[np.int64]
    """(D,) classes."""
    of_row: npt.NDArray[np.int64]
    """(N,): which distinct example each row of the table is."""

    def counts(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return how often each distinct example occurs among `rows` of the table: (D,)."""
        return np.bincount(self.of_row[rows], minlength=len(self.targets))


@functools.lru_cache(maxsize=64)
def distinct_examples(model: Model, task: Task, *, apart: bool = False) -> DistinctExamples:
    """Return the distinct examples of `task` for `model`, in the order of the table.

    With label noise no two examples are the same: each may be trained on with a class of its own; nor are they when
    they are to be taken `apart`, as with dropout, where each has a mask of its own.
    """
    table = task.table
    if apart or not model.symmetric or task.label_noise:
        return DistinctExamples(table.inputs, table.targets, np.arange(len(table.targets)))
    keys = np.concatenate([np.sort(table.inputs, axis=1), table.targets[:, None]], axis=1)
    unique, inverse = np.unique(keys, axis=0, return_inverse=True)
    return DistinctExamples(
        np.ascontiguousarray(unique[:, :-1]), np.ascontiguousarray(unique[:, -1]), inverse.reshape(-1)
    )


def examples_of(config: RunConfig) -> DistinctExamples:
    """Return the distinct examples of a run."""
    return distinct_examples(config.model, config.task, apart=bool(config.dropout))
