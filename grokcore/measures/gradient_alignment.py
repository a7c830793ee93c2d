"""Gradient alignment: cos(θ, ∇L), whether a step down the loss would shrink the weights or scale them up."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.measures.weight_norm import squares
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


class GradientAlignment(Measure):
    """⟨θ, ∇L⟩ / (‖θ‖ ‖∇L‖) on the whole training set.

    Towards −1 the loss falls mainly by scaling all weights up, the naïve loss minimisation of Prieto et al. 2025
    (arXiv 2501.04697).
    """

    cost = "full"
    needs = frozenset({"gradients"})

    def compute(self, view: View) -> Tensor:
        """Return the cosine per run, (K,)."""
        pairs = [(value, view.gradients[name]) for name, value in view.parameters.items()]
        products = _total([(w.reshape(len(w), -1).double() * g.reshape(len(g), -1).double()).sum(1) for w, g in pairs])
        return products / (_total([squares(w) for w, _ in pairs]) * _total([squares(g) for _, g in pairs])).sqrt()


def _total(parts: list[Tensor]) -> Tensor:
    return functools.reduce(torch.add, parts)
