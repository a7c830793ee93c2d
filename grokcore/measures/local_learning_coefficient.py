"""Local learning coefficient: how degenerate the minimum is that a run sits in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.algebra.landscape import learning_coefficient
from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.views.landscape import flat_weights, training_loss
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor

LOCALISATION, STEP, STEPS = 100.0, 1e-4, 150
"""Pull back to the weights γ, step size ε and steps of the sampler."""


class LocalLearningCoefficient(Measure):
    """The estimate of Lau et al. 2023 (arXiv 2308.12108), by Langevin sampling around the weights.

    Half the number of parameters for a regular minimum, less the more degenerate it is. The estimate depends on the
    sampler's pull, step and length (100, 1e-4, 150 steps, one chain, at most 1,024 training examples) and is negative
    where the weights are not at a minimum: compare values of one model, not across models.
    """

    cost = "circuit"
    needs = frozenset({"hessian"})

    def compute(self, view: View) -> Tensor:
        """Return the estimate per run, (K,)."""
        examples = view.train_counts.sum(1)
        at = flat_weights(view)
        found = learning_coefficient(
            training_loss(view), at, examples.clamp_min(3), localisation=LOCALISATION, step=STEP, steps=STEPS
        )
        return torch.where(examples < 3, torch.nan, found)
