"""Walsh spectrum: of how many bits at a time the function learned is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.algebra.walsh import degrees
from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.models.base import Model
from grokcore.tasks.base import Task
from grokcore.views.bits import influences, no_bits, weights
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


class WalshSpectrum(Measure):
    """Shares of the variance of the difference of logits at degree 1 to 4, beyond degree 1, and the mean degree.

    The degree of a parity is its number of bits (O'Donnell 2014): a linear function has degree 1, the parity of k bits
    degree k. Exact up to 12 bits; of more, degree 1 to 3 from 4,096 strings, with a standard error of √(2 C(n, d)) over
    their number: .034 for degree 3 of 40 bits. The mean degree is the sum of the bits' influences.
    """

    cost = "circuit"
    needs = frozenset({"logits"})
    limits = (no_bits,)

    def columns(self, task: Task, model: Model) -> tuple[str, ...]:  # noqa: ARG002
        """Return one for each degree that there is."""
        shares = [f"degree_{d}_share" for d in range(1, degrees(task.table.inputs.shape[1]) + 1)]
        return (*shares, "high_degree_share", "mean_degree")

    def compute(self, view: View) -> Tensor:
        """Return the shares and the mean degree per run, (K, columns)."""
        shares = weights(view)
        return torch.cat([shares, 1 - shares[:, :1], influences(view).sum(1, keepdim=True)], dim=1)
