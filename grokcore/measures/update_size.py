"""Update size: how far the next step would move the weights."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.measures.weight_norm import squares
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


class UpdateSize(Measure):
    """‖Δθ‖₂ of the step that the optimizer and the transform would take next, with the whole training set's gradient.

    Decay is included, noise is not. Not to be confused with the gradient norm times the rate, which it is for plain
    gradient descent only.
    """

    cost = "full"
    needs = frozenset({"update"})

    def compute(self, view: View) -> Tensor:
        """Return ‖Δθ‖₂ per run, (K,)."""
        return functools.reduce(torch.add, [squares(value) for value in view.next_update.values()]).sqrt()
