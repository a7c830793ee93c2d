"""Weight norm: ‖θ‖₂ over all parameters of a run."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


class WeightNorm(Measure):
    """The Euclidean norm of all parameters (Liu et al. 2022, Omnigrok, arXiv 2210.01117)."""

    cost = "light"

    def compute(self, view: View) -> Tensor:
        """Return ‖θ‖₂ per run, (K,)."""
        return functools.reduce(torch.add, [squares(value) for value in view.parameters.values()]).sqrt()


def squares(value: Tensor) -> Tensor:
    """Return the sum of squares of each run's tensor (K, *shape), in float64: (K,)."""
    # One tensor after another: a sum over a stacked axis adds in an order that depends on the number of runs.
    return value.reshape(len(value), -1).double().square().sum(1)
