"""⊥Grad: takes from the gradient what would only scale the weights (Prieto et al. 2025, arXiv 2501.04697)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from grokcore.transforms.base import Transform, Weights, inner_products

TINY = 1e-30
"""Added to what is divided by, as in the authors' code."""


@dataclass(frozen=True, kw_only=True)
class Orthograd(Transform):
    """For each parameter tensor: g ← (g − (w·g / w·w) w), scaled back to the norm that g had.

    Products are taken in float64, so that what is left of a nearly parallel gradient is not rounding.
    """

    def change_gradient(self, weights: Weights, at: Mapping[str, Tensor], step: int) -> None:  # noqa: ARG002
        """Project and rescale, tensor by tensor."""
        for name, parameter in weights.parameters.items():
            w, g = parameter.flatten(1), weights.gradients[name].flatten(1)
            before = inner_products(g, g)
            along = inner_products(w, g) / (inner_products(w, w) + TINY)
            left = g.double() - along * w.double()
            left *= before.sqrt() / (inner_products(left, left).sqrt() + TINY)
            weights.gradients[name].copy_(left.view_as(parameter))
