"""Coefficients: the numbers that change from step to step, ready before a stretch of steps begins.

Shapes: K runs, T steps of a stretch, M names.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from grokcore.lazy_torch import torch

if TYPE_CHECKING:
    from torch import Tensor

Table = Mapping[str, npt.NDArray[np.float64]]
"""Name to value in every run at every step of a stretch, (T, K) or (T, 1)."""

At = Mapping[str, "Tensor"]
"""Name to value in every run at one step: (K, 1, …)."""


class Coefficients(abc.ABC):
    """Tables of numbers by step, for several users each; a user has as many dimensions as what it multiplies."""

    def __init__(self, dimensions: Sequence[int], device: torch.device, dtype: torch.dtype) -> None:
        self.dimensions, self.device, self.dtype = dimensions, device, dtype

    @abc.abstractmethod
    def begin(self, tables: Sequence[Table], runs: int) -> None:
        """Take each user's table for the next stretch."""

    @abc.abstractmethod
    def at(self, i: int) -> list[At]:
        """Return each user's numbers at step number `i` of the stretch."""


class HostCoefficients(Coefficients):
    """The host knows which step it is: each step's numbers are views made beforehand."""

    def begin(self, tables: Sequence[Table], runs: int) -> None:  # noqa: ARG002
        """Copy the tables to the device and cut them into steps."""
        self._steps = [self._cut(table, dimensions) for table, dimensions in zip(tables, self.dimensions, strict=True)]

    def _cut(self, table: Table, dimensions: int) -> list[At] | None:
        if not table:
            return None
        columns = [
            torch.from_numpy(np.ascontiguousarray(values)).to(self.device, self.dtype)[
                (..., *[None] * (dimensions - 1))
            ]
            for values in table.values()
        ]
        steps = zip(*(column.unbind(0) for column in columns), strict=True)
        return [dict(zip(table, step, strict=True)) for step in steps]

    def _put(self, values: npt.NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, self.dtype)

    def at(self, i: int) -> list[At]:
        """Return the views."""
        return [{} if steps is None else steps[i] for steps in self._steps]


class DeviceCoefficients(Coefficients):
    """The device counts its own steps: one look-up in one table, so that a recorded step can be replayed."""

    def __init__(
        self, dimensions: Sequence[int], device: torch.device, dtype: torch.dtype, counter: Tensor, longest: int
    ) -> None:
        super().__init__(dimensions, device, dtype)
        self._counter, self._longest = counter, longest
        self._names: list[tuple[str, ...]] = []
        self._table: Tensor | None = None

    def begin(self, tables: Sequence[Table], runs: int) -> None:
        """Fill the table anew, where it was."""
        self._names = [tuple(table) for table in tables]
        columns = [np.broadcast_to(values, (len(values), runs)) for table in tables for values in table.values()]
        if columns:
            stacked = torch.from_numpy(np.stack(columns, axis=1)).to(self.dtype)
            if self._table is None:
                self._table = torch.zeros(self._longest, *stacked.shape[1:], dtype=self.dtype, device=self.device)
            self._table[: len(stacked)].copy_(stacked)

    def at(self, i: int) -> list[At]:  # noqa: ARG002
        """Look up what the counter says."""
        if self._table is None:
            return [{} for _ in self._names]
        values = iter(self._table.index_select(0, self._counter)[0].unbind(0))
        return [
            {name: next(values)[(..., *[None] * (dimensions - 1))] for name in names}
            for names, dimensions in zip(self._names, self.dimensions, strict=True)
        ]
