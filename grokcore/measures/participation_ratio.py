"""Participation ratio: how many directions carry the embedding's variance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.measures.base import Measure
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


class ParticipationRatio(Measure):
    """(Σ λ)² / Σ λ² of the eigenvalues λ of the embedding's Gram matrix (its squared singular values).

    Computed as (tr G)² / ‖G‖², without an eigenproblem. It weighs strong directions more than the effective rank does.
    """

    cost = "light"
    needs = frozenset({"embedding"})

    def compute(self, view: View) -> Tensor:
        """Return the participation ratio of the embedding per run, (K,)."""
        trace = view.gram.diagonal(dim1=1, dim2=2).sum(1)
        return trace.square() / view.gram.flatten(1).square().sum(1)
