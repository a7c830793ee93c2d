"""Position transfer: whether a network that reads its operands apart treats them alike."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.measures.linear_probe import Ridge
from grokcore.models.base import Model, at_read_out, no_places, recording
from grokcore.numerics.statistics import mean_of, spread, total, weighted_means
from grokcore.tasks.base import Task
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


def _no_positions(task: Task, model: Model) -> str | None:
    if model.symmetric:
        return "operands share one embedding"
    return no_places(task, model) if _shared_rows(task) is not None else "inputs are not all pairs of symbols"


PARTNERS = 16
"""Symbols of the other operand over which a mean is taken, at most."""


class PositionTransfer(Measure):
    """Three ways to compare what the first and the second operand add to the first hidden layer, symbol by symbol.

    What a symbol adds is the mean, over the other operand, of what enters the layer where logits are read; in an MLP
    that is its row of the table. Of more than 16 other operands 16 are taken, evenly spread. Transfer: share of symbols
    that a probe fitted to tell the first operand's symbols tells among the second's. CKA: linear centred kernel
    alignment (Kornblith et al. 2019, arXiv 1905.00414). Procrustes: ‖E₁ᵀE₂‖_* / (‖E₁‖ ‖E₂‖) of the centred features, 1
    if a rotation makes them equal.
    """

    cost = "full"
    needs = frozenset({"activations"})
    limits = (_no_positions,)
    numbers = ("position_transfer", "position_cka", "position_procrustes")

    def compute(self, view: View) -> Tensor:
        """Return the three per run, (K, 3)."""
        first, second = features(view)
        symbols = torch.eye(first.shape[1], dtype=torch.float64, device=view.device).expand(view.runs, -1, -1)
        told = Ridge(first, symbols, torch.ones_like(first[..., 0]))(second).argmax(2)
        transfer = (told == torch.arange(first.shape[1], device=view.device)).double().mean(1)
        # As few coordinates as there are symbols, in which products of features are what they are.
        few = [torch.linalg.qr(values.mT, mode="r").R for values in (first, second)]
        cross, *own = (torch.bmm(x, y.mT) for x, y in ((few[0], few[1]), (few[0], few[0]), (few[1], few[1])))
        cka = total(cross.square()) / (total(own[0].square()) * total(own[1].square())).sqrt()
        procrustes = torch.linalg.svdvals(cross).sum(1) / (total(first.square()) * total(second.square())).sqrt()
        return torch.stack([transfer, cka, procrustes], dim=1)


def features(view: View) -> list[Tensor]:
    """Return what each symbol adds as the first and as the second operand, centred: (K, S, M) each."""
    found = []
    for rows in _by_partner(view.task):
        means = mean_of(_entering(view, examples) for examples in view.examples(rows))
        found.append(means - weighted_means(means, torch.ones_like(means[..., 0])).unsqueeze(1))
    return found


def _entering(view: View, examples: Tensor) -> Tensor:
    """Return what enters the first hidden layer where logits are read, for some of the distinct examples: (K, n, M)."""
    seen: dict[str, Tensor] = {}
    inputs = view.everything.inputs[:, examples]
    view.model.forward(view.task, view.parameters, inputs, recording(frozenset({"before_0"}), seen))
    return at_read_out(seen["before_0"])


@functools.lru_cache(maxsize=16)
def _by_partner(task: Task) -> tuple[Tensor, Tensor]:
    """Return the table's rows of every symbol as the first and as the second operand, partner by partner: (n, S)."""
    rows = _shared_rows(task)
    if rows is None:
        raise ValueError("inputs are not all pairs of symbols")
    partners = spread(len(rows), PARTNERS)
    return rows[:, partners].mT, rows[partners]


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
