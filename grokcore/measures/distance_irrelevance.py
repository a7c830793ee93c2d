"""Distance irrelevance: whether the correct logit depends on how far apart the operands are."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.models.base import Model
from grokcore.numerics.constants import on_device
from grokcore.tasks.base import Task
from grokcore.views.circuit import no_circuit, pair_rows
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


def _no_distances(task: Task, model: Model) -> str | None:
    reason = no_circuit(task, model)
    if reason is None:
        targets = task.table.targets[pair_rows(task).numpy()]
        reason = None if (targets == targets.T).all() else "the order of operands matters"
    return reason


class DistanceIrrelevance(Measure):
    """Mean over distances d = a − b of the standard deviation of the correct logits at d, over that of all of them.

    Near 1 for the "clock", whose correct logit does not depend on d; near 0 for the "pizza", where it depends on
    little else (Zhong et al. 2023, arXiv 2306.17844: .85 and .17).
    """

    cost = "full"
    needs = frozenset({"logits"})
    limits = (_no_distances,)

    def compute(self, view: View) -> Tensor:
        """Return the ratio per run, (K,)."""
        rows, targets = (on_device(values, view.device) for values in _by_distance(view.task))
        correct = view.logits[:, view.rows[rows], targets].double()
        return _spread(correct).mean(1) / _spread(correct.flatten(1))


@functools.lru_cache(maxsize=16)
def _by_distance(task: Task) -> tuple[Tensor, Tensor]:
    """Return the table's rows by distance d and second operand b, and their targets: (n, n) each."""
    rows = pair_rows(task)
    order = torch.arange(len(rows))
    # Row d, column b: the pair (b + d, b), or of logarithms or other elements in their order.
    by_distance = rows[(order[:, None] + order) % len(rows), order]
    return by_distance, torch.from_numpy(task.table.targets.copy())[by_distance]


def _spread(values: Tensor) -> Tensor:
    """Return the standard deviation along the last axis."""
    return (values - values.mean(-1, keepdim=True)).square().mean(-1).sqrt()
