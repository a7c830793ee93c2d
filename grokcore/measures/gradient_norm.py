"""Gradient norm: ‖∇L‖₂ of the training loss."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.measures.weight_norm import squares
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


class GradientNorm(Measure):
    """The Euclidean norm of the gradient of the loss on the whole training set, decay not included."""

    cost = "full"
    needs = frozenset({"gradients"})

    def compute(self, view: View) -> Tensor:
        """Return ‖∇L‖₂ per run, (K,)."""
        return functools.reduce(torch.add, [squares(value) for value in view.gradients.values()]).sqrt()
