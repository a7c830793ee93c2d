"""Examples of several runs side by side: all of them, those trained on, and what each step learns from.

Shapes: K runs, D distinct examples (padded), N examples of a batch (padded; padding has weight 0), P positions.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from grokcore.data.batch import Batch
from grokcore.data.deduplication import DistinctExamples
from grokcore.data.run_examples import RunExamples
from grokcore.lazy_torch import torch
from grokcore.run_config import RunConfig

if TYPE_CHECKING:
    from torch import Tensor


class Examples(abc.ABC):
    """What the runs of a cohort learn from and are looked at with. A layout says how it lies in memory."""

    name: ClassVar[str]
    """What the layout is called."""

    everything: Batch
    """Every distinct example of the task, (K, D)."""
    train_counts: Tensor
    """(K, D): how often each is trained on."""
    val_counts: Tensor
    """(K, D): how often each validates."""
    rows: Tensor
    """(N,): which distinct example each row of the task's table is."""

    def __init__(self, runs: Sequence[RunExamples], device: torch.device, dtype: torch.dtype) -> None:
        self.runs, self.device, self.dtype = runs, device, dtype

    @classmethod
    @abc.abstractmethod
    def of_run(cls, config: RunConfig) -> RunExamples:
        """Return a run's own examples, as the layout lists them."""

    @classmethod
    @abc.abstractmethod
    def shape(cls, config: RunConfig) -> dict[str, Any]:
        """Return what runs must agree in to lie side by side, beside what makes them one computation."""

    @classmethod
    def serves(cls, config: RunConfig) -> bool:  # noqa: ARG003
        """Say whether a run's examples can lie so."""
        return True

    @abc.abstractmethod
    def begin(self, steps: Sequence[int]) -> None:
        """Make ready for the updates with these numbers, which follow one another."""

    @abc.abstractmethod
    def batch(self, i: int) -> Batch:
        """Return what update number `i` of those that `begin` was told of learns from."""

    @abc.abstractmethod
    def training_set(self) -> Batch:
        """Return all training examples of every run as one batch."""

    def _lay_out(self, shared: DistinctExamples, padding: int) -> None:
        """Put every distinct example in place, padded at the end."""
        first = self.runs[0]
        self.rows = self.put(shared.of_row)
        inputs = self.put(np.pad(shared.inputs, ((0, padding), (0, 0)))).expand(len(self.runs), -1, -1)
        targets, self.train_counts, self.val_counts = (
            self.put(np.stack([np.pad(getattr(run, name), (0, padding)) for run in self.runs]))
            for name in ("targets", "train_counts", "val_counts")
        )
        if not first.config.task.label_noise:
            targets = targets[:1].expand(len(self.runs), -1)
        scales = self.scales([run.config.output_scale for run in self.runs])
        self.everything = Batch(inputs, targets, (self.train_counts + self.val_counts).to(self.dtype), scales)

    def trained_on(self, inputs: Tensor, targets: Tensor, weights: Tensor, **facts: Any) -> Batch:
        """Return a batch whose loss is that of scaled outputs."""
        scales = self.scales([run.config.output_scale / run.config.temperature for run in self.runs])
        shares = weights.to(self.dtype)
        return Batch(inputs, targets, shares if scales is None else shares * scales[..., 0], scales, **facts)

    def put(self, array: Any) -> Tensor:
        """Copy an array to the device."""
        return torch.from_numpy(np.array(array)).to(self.device)

    def scales(self, values: list[float]) -> Tensor | None:
        """Return factors of outputs (K, 1, 1), or None if all are 1."""
        if all(value == 1 for value in values):
            return None
        return torch.tensor(values, dtype=self.dtype).to(self.device)[:, None, None]
