"""Intrinsic dimension: how many coordinates the last hidden layer's activations need, by TwoNN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.numerics.statistics import evenly
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor

POINTS = 2000
"""Examples looked at, at most, evenly spread over the table."""

KEPT = 0.9
"""Share of the ratios used; Facco et al. leave out the largest tenth."""


class IntrinsicDimension(Measure):
    """TwoNN (Facco et al. 2017, arXiv 1803.06992) on the last hidden layer's activations.

    With μ the ratio of the distances to the second and the first neighbour and F its empirical distribution, the slope
    of −log(1 − F) against log μ through the origin. Points that coincide are taken once. Where a network treats (a, b)
    and (b, a) almost alike, nearest neighbours are these pairs, and the dimension comes out low.
    """

    cost = "circuit"
    needs = frozenset({"activations"})

    def compute(self, view: View) -> Tensor:
        """Return the dimension per run, (K,)."""
        # Different runs may have different numbers of different points.
        return torch.stack([two_nn(points) for points in view.activations])


def two_nn(points: Tensor) -> Tensor:
    """Return the TwoNN dimension of `points` (n, width); NaN if fewer than 10 of them differ."""
    points = torch.unique(evenly(points.unsqueeze(0), POINTS)[0].double(), dim=0)
    if len(points) < 10:
        return points.new_tensor(torch.nan)
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distances.fill_diagonal_(torch.inf).topk(2, dim=1, largest=False).values
    logs = (nearest[:, 1] / nearest[:, 0]).log().sort().values
    kept = int(KEPT * len(logs))
    x, y = logs[:kept], -torch.log1p(-torch.arange(1, kept + 1, dtype=logs.dtype, device=logs.device) / len(logs))
    return (x * y).sum() / x.square().sum()
