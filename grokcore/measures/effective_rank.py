"""Effective rank: how many directions the embedding really uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.measures.base import Measure
from grokcore.numerics.statistics import effective_number, singular_values
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


class EffectiveRank(Measure):
    """exp of the entropy of the embedding's normalised singular values (Roy & Vetterli 2007).

    The singular values are the roots of the eigenvalues of the smaller Gram matrix, in float64: exact to about 1e-8 of
    the largest one. Between 1 and min(S, D); not the rank, which counts directions however weak.
    """

    cost = "light"
    needs = frozenset({"embedding"})

    def compute(self, view: View) -> Tensor:
        """Return the effective rank of the embedding per run, (K,)."""
        return effective_number(singular_values(view.gram))
