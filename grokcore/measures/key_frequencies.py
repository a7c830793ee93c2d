"""Key frequencies: how many frequencies carry nearly all of the embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.algebra.fourier import keys
from grokcore.measures.base import Measure
from grokcore.views.characters import no_frequencies
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


class KeyFrequencies(Measure):
    """The fewest frequencies that carry 90 % of the embedding's energy beside its constant component.

    Nanda et al. 2023 (arXiv 2301.05217) pick the key frequencies by eye; their trained networks have 3 to 6.
    """

    cost = "light"
    needs = frozenset({"embedding"})
    limits = (no_frequencies,)

    def compute(self, view: View) -> Tensor:
        """Return the number of key frequencies per run, (K,)."""
        return keys(view.energies).sum(1).double()
