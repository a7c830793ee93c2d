"""Neuron specificity: whether each neuron works on one frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.views.circuit import no_table, pair_rows
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor

SPECIFIC = 0.85
"""Share of a neuron's variance in one frequency from which on it counts as specific (Nanda et al.)."""

ALIVE = 1e-9
"""Share of the mean variance of neurons below which a neuron is dead and not counted."""


class NeuronSpecificity(Measure):
    """Mean over neurons of the share of variance in their best frequency, and the share of neurons with more than 85 %.

    A neuron of the last hidden layer is a function of (a, b); of frequency k are the products of 1, cos and sin(ω_k a)
    with 1, cos and sin(ω_k b), but the constant (Nanda et al. 2023, arXiv 2301.05217, who find 85 % of neurons so); for
    products and quotients, of their discrete logarithms.
    """

    cost = "circuit"
    needs = frozenset({"activations"})
    limits = (no_table,)
    numbers = ("neuron_specificity", "specific_neurons")

    def compute(self, view: View) -> Tensor:
        """Return both per run, (K, 2)."""
        rows = view.examples(pair_rows(view.task))
        cells = view.characters.pair_energies(view.activations[:, rows].double())
        every = cells.flatten(1, 2)
        own = cells.diagonal(dim1=1, dim2=2).mT + cells[:, 0] + cells[:, :, 0]
        sums = torch.bmm(torch.ones_like(every[:, :1, :1]).expand(-1, 1, every.shape[1]), every).squeeze(1)
        variance = sums - cells[:, 0, 0]
        alive = variance > ALIVE * variance.mean(1, keepdim=True)
        best = torch.where(alive, own[:, 1:].amax(1) / variance, 0)
        found = torch.stack([best.sum(1), (best > SPECIFIC).double().sum(1)], dim=1)
        return found / alive.sum(1, keepdim=True)
