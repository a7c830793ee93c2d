"""Excluded loss: how well the network does on its training examples without its Fourier circuit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.views.circuit import final_keys, losses, no_circuit, of_examples, target_means
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


class ExcludedLoss(Measure):
    """Cross-entropy and accuracy on the training examples of the logits without the circuit (Nanda et al. 2023).

    The logits minus their projection on cos and sin(ω_k(a + b)) of the key frequencies the run ends with; see
    `restricted_loss` for other groups. While a network memorises it falls; once the circuit does the work it rises
    (arXiv 2301.05217).
    """

    cost = "circuit"
    needs = frozenset({"logits", "keys"})
    limits = (no_circuit,)
    numbers = ("excluded_loss", "excluded_accuracy")

    def compute(self, view: View) -> Tensor:
        """Return both per run, (K, 2)."""
        gone = view.characters.part(target_means(view), final_keys(view), constant=False)
        elements, inside = of_examples(view)
        # Rows that a summing network cannot tell apart have equal logits: a distinct example stands for them.
        values, right = losses(view.logits.double() - gone[:, elements], view.everything.targets)
        counts = (view.train_counts * inside).double()
        return torch.stack([(values * counts).sum(1), (right * counts).sum(1)], dim=1) / counts.sum(1, keepdim=True)
