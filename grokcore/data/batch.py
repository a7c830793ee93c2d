"""Batch: examples of K runs, side by side.

Shapes: K runs, N examples (padded; padding has weight 0), P positions, S symbols, C classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from grokcore.lazy_torch import torch
from grokcore.models.base import Tap
from grokcore.tasks.base import Table

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """That examples are all combinations of some symbols at each position, the last position changing fastest.

    What depends on one operand alone is then a table along one axis, what depends on two a sum of tables, and a
    gradient comes back as a sum over the other axes: no look-up, and nothing to collect.
    """

    starts: tuple[int, ...]
    """First symbol at each position."""
    sizes: tuple[int, ...]
    """Number of symbols at each position, which follow one another."""

    @property
    def examples(self) -> int:
        """Number of combinations N."""
        return math.prod(self.sizes)

    def symbols(self, position: int) -> slice:
        """Return the symbols at a position."""
        return slice(self.starts[position], self.starts[position] + self.sizes[position])

    @classmethod
    def of(cls, table: Table) -> Grid | None:
        """Return the grid that a task's table is, or None if it is none."""
        columns = [np.unique(column) for column in table.inputs.T]
        if any(len(column) != column[-1] - column[0] + 1 for column in columns):
            return None
        grid = cls(tuple(int(column[0]) for column in columns), tuple(len(column) for column in columns))
        if grid.examples != len(table.inputs):
            return None
        every = np.stack([axis.reshape(-1) for axis in np.meshgrid(*columns, indexing="ij")], axis=1)
        return grid if np.array_equal(every, table.inputs) else None


@dataclass(frozen=True)
class Batch:
    """Examples, each with a weight."""

    inputs: Tensor
    """(K, N, P) tokens."""
    targets: Tensor
    """(K, N) classes."""
    weights: Tensor
    """(K, N): each example's share of the mean loss, times `scale`; 0 for padding."""
    scale: Tensor | None = None
    """(K, 1, 1): what outputs are multiplied by before the loss; None: nothing."""
    rows: Tensor | None = None
    """(K, N): which row of the task's table each example is, where that decides anything; padding may be any."""
    drop: Tap | None = None
    """What thins out activations in this step; None: nothing."""
    grid: Grid | None = None
    """That the inputs of all runs are all combinations of symbols, in order; None: they may be anything."""
    collects: bool = True
    """Whether gradients of tables are collected by where their rows were used, which takes sorting once; if not, they
    are products with one-hot inputs, which takes none."""
    watched: Tensor | None = None
    """(K, N, 2): how often each example trains, and how often it validates; None: nobody watches."""
    right: Tensor | None = None
    """(K, 2): where a watched step writes how many of each are answered rightly."""
    prepared: dict[str, Any] = field(default_factory=dict)
    """What a kernel worked out about the batch once, to use at every step."""

    def chunk(self, start: int, stop: int) -> Batch:
        """Return the examples from `start` to `stop` of every run; the batch itself, if these are all."""
        if (start, stop) == (0, self.targets.shape[1]):
            return self
        where = slice(start, stop)
        return Batch(
            self.inputs[:, where],
            self.targets[:, where],
            self.weights[:, where],
            self.scale,
            rows=None if self.rows is None else self.rows[:, where],
            drop=self.drop,
            collects=self.collects,
        )

    def of_runs(self, some: slice) -> Batch:
        """Return the examples of some of the runs."""
        scale = None if self.scale is None else self.scale[some]
        return Batch(
            self.inputs[some], self.targets[some], self.weights[some], scale, grid=self.grid, collects=self.collects
        )

    def one_hot(self, position: int, symbols: int, dtype: torch.dtype) -> Tensor:
        """Return the inputs at a position as rows with a single one, (K, N, S), made once."""
        key = f"one-hot {position} {symbols} {dtype}"
        if key not in self.prepared:
            every = torch.arange(symbols, device=self.inputs.device)
            self.prepared[key] = (_once(self.inputs)[..., position, None] == every).to(dtype)
        found: Tensor = self.prepared[key]
        return found.expand(len(self.inputs), -1, -1)

    def hot_targets(self, classes: int) -> Tensor:
        """Return where the outputs of the targets are, (K or 1, N, C) bool, made once."""
        if "hot targets" not in self.prepared:
            every = torch.arange(classes, device=self.targets.device)
            self.prepared["hot targets"] = _once(self.targets).unsqueeze(-1) == every
        found: Tensor = self.prepared["hot targets"]
        return found


def _once(values: Tensor) -> Tensor:
    """Return what all runs share as that of one run, (1, …); anything else as it is."""
    return values[:1] if values.stride(0) == 0 else values
