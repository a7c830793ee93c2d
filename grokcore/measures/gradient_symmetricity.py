"""Gradient symmetricity: whether the logits' gradients at the two operands' embeddings agree."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.models.base import Model, no_places
from grokcore.numerics.constants import on_device
from grokcore.numerics.statistics import padded
from grokcore.tasks.base import Task
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor

SAMPLES = 100
"""Triples (a, b, c) looked at; Zhong et al. take 100."""


def _no_shared_embedding(task: Task, model: Model) -> str | None:
    if task.table.inputs.shape[1] != 2:
        return "there are not two operands"
    return no_places(task, model) or (None if model.shares_embedding else "operands have no embedding in common")


class GradientSymmetricity(Measure):
    """Mean cosine of ∂z_c/∂E_a and ∂z_c/∂E_b over 100 triples (a, b, c), the same for all runs (Zhong et al. 2023).

    Near 1 for the "pizza", which reads E_a + E_b; small for the "clock", which multiplies (arXiv 2306.17844: .99 and
    .33). A network that adds up its operands has 1 whatever it learned.
    """

    cost = "circuit"
    needs = frozenset({"logits", "gradients"})
    limits = (_no_shared_embedding,)

    def compute(self, view: View) -> Tensor:
        """Return the mean cosine per run, (K,)."""
        inputs, classes = (on_device(drawn, view.device) for drawn in _triples(view.task))
        parameters = {name: value.double() for name, value in view.parameters.items()}
        leaves: list[Tensor] = []

        def tap(name: str, value: Tensor) -> Tensor:
            if name == "operands":
                value = value.detach().requires_grad_()
                leaves.append(value)
            return value

        with torch.enable_grad():
            logits = view.model.forward(view.task, parameters, inputs.expand(view.runs, -1, -1), tap)
            # An example's logits depend on its own operands only: the gradient of the sum has each one's.
            chosen = logits.gather(2, classes.expand(view.runs, -1).unsqueeze(2)).sum()
            (slopes,) = torch.autograd.grad(chosen, leaves)
        first, second = view.model.operand_positions(view.task)
        one, other = slopes[:, :SAMPLES, first], slopes[:, :SAMPLES, second]
        norms = (one.square().sum(2) * other.square().sum(2)).sqrt()
        return ((one * other).sum(2) / norms.clamp_min(1e-300)).mean(1)


@functools.lru_cache(maxsize=16)
def _triples(task: Task) -> tuple[Tensor, Tensor]:
    """Return pairs from the table (n, 2) and classes (n,), padded to a multiple of the vector length."""
    table = task.table
    draw = np.random.default_rng(0).integers(0, [len(table.inputs), table.classes], size=(SAMPLES, 2))
    inputs, classes = torch.from_numpy(table.inputs[draw[:, 0]]), torch.from_numpy(draw[:, 1].copy())
    return padded(inputs, dim=0), padded(classes, dim=0)
