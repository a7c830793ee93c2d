"""Key frequencies: how many frequencies carry nearly all of the embedding."""

from __future__ import annotations

from torch import Tensor

from grokcore.measures import _fourier
from grokcore.measures.base import Measure
from grokcore.measures.view import View


class KeyFrequencies(Measure):
    """The fewest frequencies that carry 90 % of the embedding's energy beside its constant component.

    Nanda et al. 2023 (arXiv 2301.05217) pick the key frequencies by eye; their trained networks have 3 to 6.
    """

    cost = "light"
    limits = (_fourier.no_frequencies,)

    def compute(self, view: View) -> Tensor:
        """Return the number of key frequencies per run, (K,)."""
        return _fourier.keys(view.energies).sum(1).double()
