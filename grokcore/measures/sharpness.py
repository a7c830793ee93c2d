"""Sharpness: the largest curvatures of the training loss, and that along the direction in which decay pulls."""

from __future__ import annotations

import torch
from torch import Tensor

from grokcore.algebra.landscape import hessian_product, lanczos
from grokcore.measures.base import Measure
from grokcore.views.landscape import flat_weights, training_loss
from grokcore.views.view import View

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
        ritz = lanczos(product, view.runs, weights.shape[1], ITERATIONS)
        largest = torch.stack([values[[-1, -2]] if len(values) > 1 else values[[-1, -1]] for values in ritz])
        direction = weights / weights.square().sum(1, keepdim=True).sqrt()
        along = (direction * product(direction)).sum(1)
        return torch.cat([largest, along.unsqueeze(1)], dim=1)
