"""Softmax collapse: the share of training examples that plain float32 softmax no longer tells from perfect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


class SoftmaxCollapse(Measure):
    """Share of training examples whose float32 softmax is exactly 1 at the target (Prieto et al. 2025).

    For a plain cross-entropy their gradient is 0 (arXiv 2501.04697). The engine's own loss is exact there; the measure
    says what would be lost without it.
    """

    cost = "full"
    needs = frozenset({"logits"})

    def compute(self, view: View) -> Tensor:
        """Return the share per run, (K,)."""
        logits, targets = view.logits.float(), view.everything.targets.unsqueeze(-1)
        chances = logits.softmax(-1).gather(-1, targets).squeeze(-1)
        collapsed = torch.where(chances == 1.0, view.train_counts, 0).sum(1)
        return collapsed.double() / view.train_counts.sum(1)
