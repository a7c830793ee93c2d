"""Restricted loss: how well the network does by its Fourier circuit alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.views.circuit import final_keys, losses, no_circuit, target_means
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


class RestrictedLoss(Measure):
    """Cross-entropy and accuracy on the whole table of the logits' part that is the circuit (Nanda et al. 2023).

    The logits as functions of (a, b) are projected on cos and sin(ω_k(a + b)) of the key frequencies k and on their
    mean per class. The key frequencies are those the run ends with (arXiv 2301.05217). In the place of a + b stands
    the task's own target: a − b; for products and quotients the discrete logarithm of it, zero left out; for any other
    abelian group its characters.
    """

    cost = "circuit"
    needs = frozenset({"logits", "keys"})
    limits = (no_circuit,)
    numbers = ("restricted_loss", "restricted_accuracy")

    def compute(self, view: View) -> Tensor:
        """Return both per run, (K, 2)."""
        waves = view.characters
        # The part depends on the target alone: one row stands for all that have it.
        values, right = losses(waves.part(target_means(view), final_keys(view), constant=True), waves.tokens)
        return torch.stack([values.mean(1), right.mean(1)], dim=1)
