"""Statistics that several measures share, each bit for bit the same however many runs are stacked.

Shapes: K runs, n values of a run.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.numerics.vectors import VECTOR

if TYPE_CHECKING:
    from torch import Tensor


def elementwise(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """Apply a transcendental function to `values` (K, n) so that no element falls into a loop's scalar tail.

    Vector and scalar code round such functions differently; where the tail lies would depend on K.
    """
    n = values.shape[-1]
    return function(torch.nn.functional.pad(values, (0, -n % VECTOR), value=1.0))[..., :n]


def padded(values: Tensor, dim: int) -> Tensor:
    """Repeat the last element along an axis up to a multiple of the vector length, for functions of all elements."""
    missing = -values.shape[dim] % VECTOR
    last = values.narrow(dim, values.shape[dim] - 1, 1)
    return torch.cat([values, *[last] * missing], dim=dim) if missing else values


def mean_of(parts: Iterable[Tensor]) -> Tensor:
    """Return the mean of tensors of one shape in float64, added one after another.

    A sum over an axis may add in an order that depends on the number of runs.
    """
    several = [part.double() for part in parts]
    return functools.reduce(torch.add, several) / len(several)


def picked(values: Tensor, rows: Tensor) -> Tensor:
    """Return the same rows of every run's (K, n, m): (K, *rows, m)."""
    start = torch.arange(len(values), device=values.device).mul_(values.shape[1]).view(-1, *[1] * rows.dim())
    return torch.nn.functional.embedding(rows + start, values.reshape(-1, values.shape[2]))


def evenly(values: Tensor, most: int) -> Tensor:
    """Return at most that many of the rows of (K, n, m), evenly spread."""
    n = values.shape[1]
    return values if n <= most else picked(values, spread(n, most, values.device))


def spread(count: int, most: int, device: torch.device | None = None) -> Tensor:
    """Return the numbers of at most so many of `count` things, evenly spread: (min(count, most),)."""
    # Drawn up on the host whatever the device: halves round alike everywhere.
    return torch.linspace(0, count - 1, min(count, most)).round().long().to(device)


def total(values: Tensor) -> Tensor:
    """Add up all that each run has, (K, …) to (K,)."""
    return values.reshape(len(values), -1).sum(1)


def weighted_means(values: Tensor, weights: Tensor) -> Tensor:
    """Return the means of columns (K, n, m) under weights (K, n): (K, m)."""
    return torch.bmm(weights.unsqueeze(1), values).squeeze(1) / weights.sum(1, keepdim=True)


def gini(values: Tensor) -> Tensor:
    """Return the Gini coefficient of each row of non-negative `values` (K, n): (K,)."""
    n = values.shape[1]
    ordered = values.sort(dim=1).values
    ranks = torch.arange(1, n + 1, dtype=values.dtype, device=values.device)
    return (2 * ranks - n - 1).mul(ordered).sum(1) / (n * ordered.sum(1))


def participation(energies: Tensor) -> Tensor:
    """Return how many of the non-negative `energies` (K, n) count, (Σ e)² / Σ e²: (K,), between 1 and n."""
    return energies.sum(1).square() / energies.square().sum(1)


def effective_number(weights: Tensor) -> Tensor:
    """Return exp of the entropy of the rows of non-negative `weights` (K, n), normalised to sum 1: (K,)."""
    shares = weights / weights.sum(1, keepdim=True)
    entropy = elementwise(torch.special.entr, shares).sum(1)
    return torch.tensor([math.exp(e) for e in entropy.tolist()], dtype=weights.dtype).to(weights.device)


def singular_values(gram: Tensor) -> Tensor:
    """Return the singular values of a matrix from its Gram matrix (K, n, n), ascending: (K, n)."""
    values: Tensor = torch.linalg.eigvalsh(gram)
    return values.clamp_min(0).sqrt()
