"""⊥Grad: takes from the gradient what would only scale the weights (Prieto et al. 2025, arXiv 2501.04697)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grokcore.transforms.base import Transform, Weights

if TYPE_CHECKING:
    from torch import Tensor

TINY = 1e-30
"""Added to what is divided by, as in the authors' code."""


@dataclass(frozen=True, kw_only=True)
class Orthograd(Transform):
    """For each parameter tensor: g ← (g − (w·g / w·w) w), scaled back to the norm that g had.

    Products are taken in float64, so that what is left of a nearly parallel gradient is not rounding.
    """

    def change_gradient(self, weights: Weights, at: Mapping[str, Tensor]) -> None:  # noqa: ARG002
        """Project and rescale all tensors at once."""
        w, g = weights.flat.double(), weights.gradient.double()
        along, own, before = weights.sums(w * g, w * w, g * g).unbind(1)
        left = g - weights.spread(along / (own + TINY)) * w
        (after,) = weights.sums(left * left).unbind(1)
        weights.gradient.copy_(left * weights.spread(before.sqrt() / (after.sqrt() + TINY)))
