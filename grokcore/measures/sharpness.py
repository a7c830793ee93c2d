"""Sharpness: the largest curvatures of the training loss, and that along the direction in which decay pulls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.algebra.landscape import hessian_product, lanczos
from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.views.landscape import flat_weights, training_loss
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor

ITERATIONS = 16
"""Lanczos iterations; the largest eigenvalue is then known to a few per cent, mostly much better."""


class Sharpness(Measure):
    """The two largest eigenvalues of the Hessian of the training loss, by Lanczos; and θᵀHθ / ‖θ‖².

    In float64, on at most 1,024 training examples, evenly spread. Hessian-vector products are exact (Pearlmutter 1994).
    """

    cost = "circuit"
    needs = frozenset({"hessian"})
    numbers = ("sharpness", "sharpness_second", "decay_curvature")

    def compute(self, view: View) -> Tensor:
        """Return the three per run, (K, 3)."""
        weights = flat_weights(view)
        product = hessian_product(training_loss(view), weights)
        ritz = lanczos(product, weights, ITERATIONS)
        largest = torch.stack([torch.stack([values[-1], values[-min(2, len(values))]]) for values in ritz])
        direction = weights / weights.square().sum(1, keepdim=True).sqrt()
        along = (direction * product(direction)).sum(1)
        return torch.cat([largest, along.unsqueeze(1)], dim=1)
