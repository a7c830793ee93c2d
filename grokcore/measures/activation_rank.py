"""Activation rank: how many directions the last hidden layer uses."""

from __future__ import annotations

import torch
from torch import Tensor

from grokcore.measures._statistics import effective_number, participation, singular_values, weighted_means
from grokcore.measures.base import Measure
from grokcore.measures.view import View


class ActivationRank(Measure):
    """Effective rank and participation ratio of the last hidden layer's activations over all distinct examples.

    Defined as for the embedding (`effective_rank`, `participation_ratio`), on the activations without their mean.
    """

    cost = "full"
    needs = frozenset({"activations"})
    numbers = ("activation_rank", "activation_participation")

    def compute(self, view: View) -> Tensor:
        """Return both per run, (K, 2)."""
        weights = torch.ones_like(view.activations[..., 0])
        centred = view.activations - weighted_means(view.activations, weights).unsqueeze(1)
        wide = centred.shape[1] <= centred.shape[2]
        values = singular_values(torch.bmm(centred, centred.mT) if wide else torch.bmm(centred.mT, centred))
        return torch.stack([effective_number(values), participation(values.square())], dim=1)
