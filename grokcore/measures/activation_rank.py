"""Activation rank: how many directions the last hidden layer uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.numerics.statistics import effective_number, evenly, participation, singular_values, weighted_means
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor

EXAMPLES = 4096
"""Examples looked at, at most."""


class ActivationRank(Measure):
    """Effective rank and participation ratio of the last hidden layer's activations over the distinct examples.

    Defined as for the embedding (`effective_rank`, `participation_ratio`), on the activations without their mean; of
    more than 4,096 examples, that many are looked at, evenly spread.
    """

    cost = "full"
    needs = frozenset({"activations"})
    numbers = ("activation_rank", "activation_participation")

    def compute(self, view: View) -> Tensor:
        """Return both per run, (K, 2)."""
        hidden = evenly(view.activations, EXAMPLES).double()
        centred = hidden - weighted_means(hidden, torch.ones_like(hidden[..., 0])).unsqueeze(1)
        wide = centred.shape[1] <= centred.shape[2]
        values = singular_values(torch.bmm(centred, centred.mT) if wide else torch.bmm(centred.mT, centred))
        return torch.stack([effective_number(values), participation(values.square())], dim=1)
