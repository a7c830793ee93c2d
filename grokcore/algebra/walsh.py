"""Walsh spectra: functions of bits as sums of parities.

Any function of n bits is Σ_S c_S χ_S, χ_S the parity of the bits in S; Σ c_S² over sets of d bits is its weight at
degree d, and the weights from degree 1 on add up to its variance (O'Donnell 2014, Analysis of Boolean Functions).

Shapes: K functions, N strings, n bits.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from grokcore.lazy_torch import torch
from grokcore.numerics.constants import on_device

if TYPE_CHECKING:
    from torch import Tensor

EXACT_BITS = 12
"""Bits up to which a function is evaluated on all strings."""

STRINGS = 1 << EXACT_BITS
"""Strings looked at where there are more bits: drawn once, the same for all functions."""

ROWS = 512
"""Strings that are paired with all others at once."""

DEGREES, SAMPLED_DEGREES = 4, 3
"""Degrees whose weight is told, at most: of all strings, and of a sample, where the next would be lost in noise."""


def degrees(bits: int) -> int:
    """Return the highest degree whose weight is told."""
    return min(bits, DEGREES if bits <= EXACT_BITS else SAMPLED_DEGREES)


def degree_weights(values: Tensor, bits: int) -> Tensor:
    """Return the share of the variance at degree 1, 2, … of functions known at `strings`: (K, N) to (K, degrees).

    With h the number of bits in which two strings differ, Σ_S χ_S(x) χ_S(y) over |S| = d is the Krawtchouk polynomial
    K_d(h), so that a weight is the mean of f(x) f(y) K_d(h) over pairs of strings: over all pairs where there are all
    strings, which is exact, and over pairs of different ones in a sample, which is right on average.
    """
    distances = on_device(_distances(bits), values.device)
    polynomials = on_device(_krawtchouk(bits, degrees(bits)), values.device)
    values = values - values.mean(1, keepdim=True)
    (runs, count), found = values.shape, []
    for polynomial in polynomials:
        weight = values.new_zeros(runs)
        for start in range(0, count, ROWS):
            some = slice(start, start + ROWS)
            kernel = polynomial[distances[some].long()].mT.expand(runs, -1, -1)
            weight += (torch.bmm(values.unsqueeze(1), kernel).squeeze(1) * values[:, some]).sum(1)
        found.append(weight)
    pairs = count**2 - (count if bits > EXACT_BITS else 0)
    return torch.stack(found, dim=1) / pairs / values.square().mean(1, keepdim=True)


@functools.lru_cache(maxsize=4)
def strings(bits: int) -> Tensor:
    """Return all strings of a few bits, or a sample of different ones: (N, n)."""
    if bits <= EXACT_BITS:
        codes = np.random.default_rng(0).permutation(2**bits)
    else:
        codes = np.random.default_rng(0).choice(2**bits, size=STRINGS, replace=False)
    return torch.from_numpy((codes[:, None] >> np.arange(bits)) & 1)


@functools.lru_cache(maxsize=2)
def _distances(bits: int) -> Tensor:
    """Return in how many bits each two of the strings differ: (N, N)."""
    signs = (1 - 2 * strings(bits)).float()
    return ((bits - signs @ signs.T) / 2).to(torch.uint8)


@functools.lru_cache(maxsize=8)
def _krawtchouk(bits: int, highest: int) -> Tensor:
    """Return K_d(h) = Σ_j (−1)^j C(h, j) C(n − h, d − j) for degrees d = 1 … highest and all distances h.

    Of a sample, 0 at h = 0: a string and itself are no pair.
    """
    rows = [
        [sum((-1) ** j * math.comb(h, j) * math.comb(bits - h, d - j) for j in range(d + 1)) for h in range(bits + 1)]
        for d in range(1, highest + 1)
    ]
    polynomials = torch.tensor(rows, dtype=torch.float64)
    if bits > EXACT_BITS:
        polynomials[:, 0] = 0
    return polynomials
