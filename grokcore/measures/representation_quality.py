"""Representation quality: whether numbers are embedded along a line, evenly."""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.models.base import Model
from grokcore.numerics.constants import on_device
from grokcore.numerics.statistics import weighted_means
from grokcore.tasks.base import Task
from grokcore.tasks.toy_addition import ToyAddition
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor

TOLERANCE = 0.01
"""Squared error of a parallelogram, over the variance of the embedding, below which it counts as one."""


def _no_line(task: Task, model: Model) -> str | None:  # noqa: ARG001
    return None if isinstance(task, ToyAddition) else "only addition without modulus asks for an embedding along a line"


class RepresentationQuality(Measure):
    """RQI: the share of parallelograms (i, j, m, n), i + j = m + n, that the embedding has (Liu et al. 2022).

    It has one where ‖E_i + E_j − E_m − E_n‖² is less than 1 % of the mean squared distance from the embedding's mean
    (arXiv 2205.10343). A line has all of them.
    """

    cost = "full"
    needs = frozenset({"embedding"})
    limits = (_no_line,)

    def compute(self, view: View) -> Tensor:
        """Return the RQI per run, (K,)."""
        embedding = view.embedding
        i, j, m, n = on_device(parallelograms(embedding.shape[1]), view.device).T
        misses = embedding[:, i] + embedding[:, j] - embedding[:, m] - embedding[:, n]
        centre = weighted_means(embedding, torch.ones_like(embedding[..., 0])).unsqueeze(1)
        spread = (embedding - centre).square().sum(2).mean(1, keepdim=True)
        return (misses.square().sum(2) < TOLERANCE * spread).double().mean(1)


@functools.lru_cache(maxsize=8)
def parallelograms(numbers: int) -> Tensor:
    """Return all pairs of different pairs of numbers with one sum: rows (i, j, m, n) with i ≤ j and m ≤ n."""
    by_sum: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for pair in itertools.combinations_with_replacement(range(numbers), 2):
        by_sum[sum(pair)].append(pair)
    return torch.tensor([[*a, *b] for pairs in by_sum.values() for a, b in itertools.combinations(pairs, 2)])
