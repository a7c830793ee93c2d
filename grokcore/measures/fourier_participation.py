"""Fourier participation: how many frequencies the embedding is spread over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.measures.base import Measure
from grokcore.numerics.statistics import participation
from grokcore.views.characters import no_frequencies
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


class FourierParticipation(Measure):
    """The inverse of the inverse participation ratio, Σ e_k² of the frequencies' shares e_k of the embedding's energy.

    1: a single frequency; F = ⌊S / 2⌋: all alike. The ratio itself is 1 over it (Doshi et al. 2023, arXiv 2310.13061,
    take it per neuron). The constant component is left out.
    """

    cost = "light"
    needs = frozenset({"embedding"})
    limits = (no_frequencies,)

    def compute(self, view: View) -> Tensor:
        """Return the participation number per run, (K,)."""
        return participation(view.energies)
