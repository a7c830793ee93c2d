"""Batch: examples of K runs, side by side.

Shapes: K runs, N examples (padded; padding has weight 0), P positions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from grokcore.models.base import Tap


@dataclass(frozen=True)
class Batch:
    """Distinct examples only (grokcore/data/deduplication.py), each with a weight."""

    inputs: Tensor
    """(K, N, P) tokens."""
    targets: Tensor
    """(K, N) classes."""
    weights: Tensor
    """(K, N): each example's share of the mean loss, times `scale`; 0 for padding."""
    scale: Tensor | None = None
    """(K, 1, 1): what outputs are multiplied by before the loss; None: nothing."""
    drop: Tap | None = None
    """What thins out activations in this step; None: nothing."""
    prepared: dict[str, Any] = field(default_factory=dict)
    """What a kernel worked out about the batch once, to use at every step."""

    def chunk(self, start: int, stop: int) -> Batch:
        """Return the examples from `start` to `stop` of every run."""
        where = slice(start, stop)
        return Batch(self.inputs[:, where], self.targets[:, where], self.weights[:, where], self.scale, self.drop)

    def of_runs(self, some: slice) -> Batch:
        """Return the examples of some of the runs."""
        scale = None if self.scale is None else self.scale[some]
        return Batch(self.inputs[some], self.targets[some], self.weights[some], scale)
