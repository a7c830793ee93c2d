"""Fourier concentration: how few frequencies carry the embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.measures.base import Measure
from grokcore.numerics.statistics import gini
from grokcore.views.characters import no_frequencies
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


class FourierConcentration(Measure):
    """Gini coefficient of the norms of the embedding's Fourier components (Nanda et al. 2023, arXiv 2301.05217).

    The embedding (S, D) is transformed along the symbols by the orthonormal real Fourier basis; the norms over D of its
    S components are compared. 0: all alike; near 1: few dominate. Nanda's trained networks have .55 to .80.
    """

    cost = "light"
    needs = frozenset({"embedding"})
    limits = (no_frequencies,)

    def compute(self, view: View) -> Tensor:
        """Return the Gini coefficient per run, (K,)."""
        return gini(view.components)
