"""Batches: the examples of a cohort's members, side by side: all of them, those trained on, and the next minibatch.

Shapes: K runs, D distinct examples (padded), N examples of a batch (padded; padding has weight 0), P positions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grokcore.dropout import Dropout
from grokcore.kernel import Batch
from grokcore.layout import VECTOR
from grokcore.member import Member
from grokcore.shape import bucket
from grokcore.sharing import examples_of


class Batches:
    """What the members of a cohort learn from and are looked at with."""

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

    def __init__(self, members: Sequence[Member], device: str, dtype: torch.dtype) -> None:
        self.members, self.device, self.dtype = members, device, dtype
        first = members[0].config
        self.table, self.size, self.shared = first.task.table, first.batch, examples_of(first)
        self.rows = self._put(self.shared.of_row)
        missing = -len(self.shared.targets) % VECTOR
        inputs = self._put(np.pad(self.shared.inputs, ((0, missing), (0, 0)))).expand(len(members), -1, -1)
        targets, self.train_counts, self.val_counts = (
            self._put(np.stack([np.pad(getattr(member, name), (0, missing)) for member in members]))
            for name in ("targets", "train_counts", "val_counts")
        )
        scales = self._scales([member.config.output_scale for member in members])
        self.everything = Batch(inputs, targets, (self.train_counts + self.val_counts).to(dtype), scales)
        self.full = self._full() if self.size == "full" else None

    def next(self, step: int) -> Batch:
        """Return what update number `step` learns from; minibatches are drawn anew at each call."""
        batch = self.full if self.full is not None else self.draw()
        if not self.members[0].config.dropout:
            return batch
        rates, seeds = zip(*((m.config.dropout, m.config.seed) for m in self.members), strict=True)
        return dataclasses.replace(batch, drop=Dropout(list(rates), list(seeds), step))

    def draw(self) -> Batch:
        """Return the next minibatch of every member, padded with weight 0."""
        size = int(self.size)
        rows = np.stack([member.next_batch(size) for member in self.members])
        rows = np.pad(rows, ((0, 0), (0, -size % VECTOR)))
        weights = np.zeros(rows.shape)
        weights[:, :size] = 1.0 / size
        of_row = self.shared.of_row
        targets = np.stack([member.targets[of_row[own]] for member, own in zip(self.members, rows, strict=True)])
        return self._training(self.table.inputs[rows], targets, weights)

    def training_set(self) -> Batch:
        """Return all training examples of every member as one batch."""
        if self.full is not None:
            return self.full
        counts, everything = self.train_counts.cpu().numpy(), self.everything
        return self._training(
            everything.inputs.cpu().numpy(), everything.targets.cpu().numpy(), counts / counts.sum(1, keepdims=True)
        )

    def _full(self) -> Batch:
        """Return every member's distinct training examples, padded to the bucket with weight 0."""
        chosen = [np.flatnonzero(member.train_counts) for member in self.members]
        size = bucket(max(len(rows) for rows in chosen))
        rows = np.zeros((len(chosen), size), dtype=np.int64)
        weights = np.zeros((len(chosen), size))
        for k, (member, own) in enumerate(zip(self.members, chosen, strict=True)):
            rows[k, : len(own)] = own
            weights[k, : len(own)] = member.train_counts[own] / len(member.train_rows)
        targets = np.stack([member.targets[own] for member, own in zip(self.members, rows, strict=True)])
        return self._training(self.shared.inputs[rows], targets, weights)

    def _training(self, inputs: Any, targets: Any, weights: Any) -> Batch:
        """Return a batch whose loss is that of scaled outputs."""
        scales = self._scales([m.config.output_scale / m.config.temperature for m in self.members])
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
