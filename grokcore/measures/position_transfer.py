"""Position transfer: whether a network that reads its operands apart treats them alike."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from grokcore.measures._anatomy import enter, no_anatomy, recorded
from grokcore.measures._statistics import total, weighted_means
from grokcore.measures.base import Measure
from grokcore.measures.linear_probe import Ridge
from grokcore.measures.view import INSIDE_EXAMPLES, View
from grokcore.models.base import Model
from grokcore.tasks.base import Task


def _no_positions(task: Task, model: Model) -> str | None:
    if model.symmetric:
        return "operands share one embedding"
    return no_anatomy(task, model) if _shared_rows(task) is not None else "inputs are not all pairs of symbols"


class PositionTransfer(Measure):
    """Three ways to compare what the first and the second operand add to the first hidden layer, symbol by symbol.

    What a symbol adds is the mean, over the other operand, of what enters the layer where logits are read; in an MLP
    that is its row of the table. Transfer: share of symbols that a probe fitted to tell the first operand's symbols
    tells among the second's. CKA: linear centred kernel alignment (Kornblith et al. 2019, arXiv 1905.00414).
    Procrustes: ‖E₁ᵀE₂‖_* / (‖E₁‖ ‖E₂‖) of the centred features, 1 if a rotation makes them equal.
    """

    cost = "full"
    needs = frozenset({"activations"})
    limits = (_no_positions,)
    numbers = ("position_transfer", "position_cka", "position_procrustes")

    def compute(self, view: View) -> Tensor:
        """Return the three per run, (K, 3)."""
        first, second = features(view)
        symbols = torch.eye(first.shape[1], dtype=torch.float64).expand(view.runs, -1, -1)
        told = Ridge(first, symbols, torch.ones_like(first[..., 0]))(second).argmax(2)
        transfer = (told == torch.arange(first.shape[1])).double().mean(1)
        cross = torch.bmm(first.mT, second)
        own = [total(torch.bmm(values.mT, values).square()) for values in (first, second)]
        cka = total(cross.square()) / (own[0] * own[1]).sqrt()
        nuclear = torch.linalg.svdvals(cross).sum(1)
        procrustes = nuclear / (total(first.square()) * total(second.square())).sqrt()
        return torch.stack([transfer, cka, procrustes], dim=1)


def features(view: View) -> list[Tensor]:
    """Return what each symbol adds as the first and as the second operand, centred: (K, S, M) each."""
    rows = _shared_rows(view.task)
    if rows is None:
        raise ValueError("inputs are not all pairs of symbols")
    entering = []
    for inputs in view.everything.inputs.split(INSIDE_EXAMPLES, dim=1):
        seen: dict[str, Tensor] = {}
        enter(view.model, view.parameters, inputs, recorded(frozenset({"before_0"}), seen))
        entering.append(seen["before_0"])
    table = torch.cat(entering, dim=1)[:, view.rows[rows]].double()
    found = []
    for square in (table, table.transpose(1, 2)):
        means = torch.stack([values.mean(1) for values in square.unbind(1)], dim=1)
        found.append(means - weighted_means(means, torch.ones_like(means[..., 0])).unsqueeze(1))
    return found


@functools.lru_cache(maxsize=16)
def _shared_rows(task: Task) -> Tensor | None:
    """Return the table's row of each pair of the symbols that both operands have, (S, S), or None if one is missing."""
    inputs = task.table.inputs
    if inputs.shape[1] != 2:
        return None
    rows = np.full((task.table.symbols,) * 2, -1, dtype=np.int64)
    rows[inputs[:, 0], inputs[:, 1]] = np.arange(len(inputs))
    shared = np.flatnonzero((rows >= 0).any(0) & (rows >= 0).any(1))
    square = rows[np.ix_(shared, shared)]
    return torch.from_numpy(square) if len(shared) > 1 and (square >= 0).all() else None
