"""Prefixes: the distinct beginnings of a task's inputs, and where each position of an example finds its own.

Attention is causal (Vaswani et al. 2017, arXiv 1706.03762): with h the states after layer l − 1,

    h'_p = h_p + Σ_{q ≤ p} a_pq V h_q,   a_p = softmax_q(h_p Q · h_q K),

and the MLP and the norms act on each position alone, so that by induction over layers the state at position p is a
function of the tokens 0 … p. Examples that begin alike have the same state there, and the sum of their losses has, by
the chain rule, the sum of their gradients: a state is computed once for each distinct beginning, looked up by the
examples that share it, and collects their gradients on the way back. Of p² pairs (a, b) only p begin differently.

A position's "prefix" is the set of beginnings with so many operands: a table of the distinct ones where they are few,
else one row for each example of the batch.

Shapes: K runs, N examples, S symbols, R rows of a prefix.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from grokcore.data.batch import Batch
from grokcore.lazy_torch import torch
from grokcore.models.transformer import Transformer
from grokcore.numerics.constants import on_device
from grokcore.numerics.vectors import VECTOR
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor

SHARED_SHARE = 0.5
"""Distinct beginnings are tabled where there are at most this many per example of the batch."""


class Prefixes:
    """Where the positions of a transformer's inputs find what they share."""

    def __init__(self, model: Transformer, task: Task) -> None:
        self.symbols = task.table.symbols
        self.operands = int(task.table.inputs.shape[1])
        # For each position: how many operands have been read there, and which of them it is (none: "op" and "=").
        order: list[tuple[int, int | None]] = [(i + 1, i) for i in range(self.operands)]
        if model.operator_token:
            order = [(i // 2 + 1, None if i % 2 else i // 2) for i in range(2 * self.operands - 1)]
        order.append((self.operands, None))
        self.order = order
        # Rows times heads, and so rows times width, come in whole vectors.
        unit = VECTOR // math.gcd(VECTOR, model.heads)
        self.tables, self.children = _beginnings(task.table.inputs, self.symbols, unit)
        self._counted: dict[tuple[int, int, torch.device], tuple[Tensor, Tensor]] = {}
        """The rows of a table, and where each run's begin, by runs, rows and device."""

    def entries(self) -> list[int]:
        """Return how many rows enter the first layer at each position: one per symbol, or one."""
        return [1 if operand is None else self.symbols for _, operand in self.order]

    def states(self, batch: Batch) -> list[int]:
        """Return how many rows there are at each position after a layer: those of its prefix."""
        if "states" not in batch.prepared:
            batch.prepared["states"] = [self._rows(batch, read).shape[1] for read, _ in self.order]
        states: list[int] = batch.prepared["states"]
        return states

    def entry(self, batch: Batch, read: int, position: int) -> Places | None:
        """Return where the rows of prefix `read` find a position's entry, of S; None: there is one for all."""
        operand = self.order[position][1]
        if operand is None:
            return None
        key = f"token {read} {operand}"
        if key not in batch.prepared:
            batch.prepared[key] = self._places(self._rows(batch, read)[..., operand], self.symbols)
        places: Places = batch.prepared[key]
        return places

    def state(self, batch: Batch, read: int, position: int) -> Places | None:
        """Return where the rows of prefix `read` find a position's state, of R; None: in the same row."""
        wanted = self.order[position][0]
        if wanted == read or not self._tabled(batch, wanted):
            return None
        key = f"prefix {read} {wanted}"
        if key not in batch.prepared:
            operands = self._rows(batch, read)
            at = on_device(self.children[0], operands.device)[operands[..., 0]]
            for i in range(1, wanted):
                at = on_device(self.children[i], at.device)[at * self.symbols + operands[..., i]]
            batch.prepared[key] = self._places(at, len(self.tables[wanted - 1]))
        places: Places = batch.prepared[key]
        return places

    def index(self, batch: Batch, read: int, position: int, *, entering: bool) -> Tensor:
        """Return where the rows of prefix `read` find what enters a layer at a position and before, (K, J, R).

        They count through the rows of all positions; `entering` says that the layer is the first.
        """
        key = f"index {read} {entering}"
        if key not in batch.prepared:
            last = max(i for i, (operands, _) in enumerate(self.order) if operands == read)
            runs, length, _ = self._rows(batch, read).shape
            sizes = self.entries() if entering else self.states(batch)
            every, found = torch.arange(length), []
            for earlier in range(last + 1):
                places = (self.entry if entering else self.state)(batch, read, earlier)
                own = every * (sizes[earlier] > 1) if places is None else places.own
                found.append((own + sum(sizes[:earlier])).expand(runs, -1))
            batch.prepared[key] = torch.stack(found, dim=1)
        index: Tensor = batch.prepared[key]
        return index[:, : position + 1]

    def _places(self, own: Tensor, rows: int) -> Places:
        """Return places (K, R) in a table of so many rows a run."""
        known = (len(own), rows, own.device)
        if known not in self._counted:
            every = torch.arange(rows, device=own.device)
            self._counted[known] = every, torch.arange(len(own), device=own.device)[:, None] * rows
        return Places(own, *self._counted[known])

    def _tabled(self, batch: Batch, read: int) -> bool:
        """Say whether beginnings of `read` operands are tabled, instead of one per example."""
        return read < self.operands and len(self.tables[read - 1]) <= SHARED_SHARE * batch.targets.shape[1]

    def _rows(self, batch: Batch, read: int) -> Tensor:
        """Return the operands of each row of a prefix: (K, R, at least `read`)."""
        if not self._tabled(batch, read):
            return batch.inputs
        return on_device(self.tables[read - 1], batch.inputs.device).expand(len(batch.inputs), -1, -1)


class Places:
    """Which row of a table each row of a prefix finds."""

    def __init__(self, own: Tensor, every: Tensor, begin: Tensor) -> None:
        self.own = own
        """(K, R) rows of a run's own table."""
        self._every, self._begin = every, begin
        self._flat: Tensor | None = None
        self._hot: Tensor | None = None

    @property
    def flat(self) -> Tensor:
        """Return rows of the tables of all runs, one under the other: (K · R,), made once."""
        if self._flat is None:
            self._flat = (self.own + self._begin).reshape(-1)
        return self._flat

    def one_hot(self, dtype: torch.dtype) -> Tensor:
        """Return them as rows with a single one, (K, R, T), made once."""
        if self._hot is None:
            self._hot = (self.own.unsqueeze(-1) == self._every).to(dtype)
        return self._hot


def look_up(table: Tensor, places: Places | None, *, collects: bool) -> Tensor:
    """Return the rows of a table (K, T, D) that are named; the table itself if none are."""
    if places is None:
        return table
    runs, _, width = table.shape
    if not collects:
        return table.gather(1, places.own.unsqueeze(-1).expand(-1, -1, width))
    return table.reshape(-1, width).index_select(0, places.flat).view(runs, -1, width)


def hand_back(total: Tensor, gradient: Tensor, places: Places | None, *, collects: bool) -> None:
    """Add to a table's gradient, `total` (K, T, D), that of what was looked up in it, (K, R, D).

    Rows are collected where they were used, or multiplied with one-hot rows (`Batch.collects`).
    """
    if places is not None and not collects:
        total.baddbmm_(places.one_hot(total.dtype).mT, gradient)
    elif places is not None:
        # Row after row in the order of the examples: a run's sums are the same in any company.
        flat = gradient.reshape(-1, gradient.shape[-1])
        runs, rows, _ = total.shape
        total += torch.ops.aten.embedding_dense_backward(flat, places.flat, runs * rows, -1, False).view_as(total)
    elif total.shape[1] == gradient.shape[1]:
        total += gradient
    else:
        total += gradient.sum(1, keepdim=True)


def _beginnings(inputs: np.ndarray, symbols: int, unit: int) -> tuple[list[Tensor], list[Tensor]]:
    """Return the distinct beginnings of 1, 2, … operands, and which one each turns into with one more operand.

    The first are tables (R, read), padded to a multiple of `unit`; the second, (R · symbols,) each, start
    from the one empty beginning.
    """
    tables, children = [], []
    at, count = np.zeros(len(inputs), dtype=np.int64), 1
    for read in range(1, inputs.shape[1] + 1):
        codes, first, inverse = np.unique(at * symbols + inputs[:, read - 1], return_index=True, return_inverse=True)
        child = np.zeros(count * symbols, dtype=np.int64)
        child[codes] = np.arange(len(codes))
        table = torch.from_numpy(inputs[first, :read].copy())
        tables.append(torch.nn.functional.pad(table, (0, 0, 0, -len(table) % unit)))
        children.append(torch.from_numpy(child))
        at, count = inverse.reshape(-1), len(codes)
    return tables, children
