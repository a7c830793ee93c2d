"""Walsh spectra: the function of bits that a network has learned, as a sum of parities.

Any function of n bits is Σ_S c_S χ_S, χ_S the parity of the bits in S; Σ c_S² over sets of d bits is its weight at
degree d, and the weights from degree 1 on add up to its variance (O'Donnell 2014, Analysis of Boolean Functions).

Shapes: K runs, N strings, n bits.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from grokcore.measures._anatomy import forward, no_anatomy
from grokcore.measures.view import INSIDE_EXAMPLES, View
from grokcore.models.base import Model
from grokcore.tasks.base import Task

EXACT_BITS = 12
"""Bits up to which a function is evaluated on all strings."""

STRINGS = 1 << EXACT_BITS
"""Strings looked at where there are more bits: drawn once, the same for all runs."""

FLIPPED = 512
"""Strings, at most, of which every bit is flipped once to see what it matters."""

DEGREES, SAMPLED_DEGREES = 4, 3
"""Degrees whose weight is told, at most: of all strings, and of a sample, where the next would be lost in noise."""


def no_bits(task: Task, model: Model) -> str | None:
    """Return why a network's function is not one of bits, or None if it is."""
    if task.table.symbols != 2 or task.table.classes != 2:
        return "inputs are not strings of bits with one of two classes"
    return "outputs are no logits" if model.regresses else no_anatomy(task, model)


def degrees(bits: int) -> int:
    """Return the highest degree whose weight is told."""
    return min(bits, DEGREES if bits <= EXACT_BITS else SAMPLED_DEGREES)


def function(view: View, strings: Tensor) -> Tensor:
    """Return the difference of the two logits, as the loss sees them, of strings (N, n): (K, N), float64."""
    parts = []
    for some in strings.split(INSIDE_EXAMPLES):
        # Whatever is stacked comes in multiples of the vector length: a power of two, at least 32.
        rows = some.repeat(-(-32 // len(some)), 1) if len(some) < 32 else some
        logits = forward(view.model, view.parameters, rows.expand(view.runs, -1, -1))[:, : len(some)]
        parts.append(logits[..., 1].double() - logits[..., 0].double())
    found = torch.cat(parts, dim=1)
    return found if view.everything.scale is None else found * view.everything.scale[..., 0].double()


def weights(view: View) -> Tensor:
    """Return the share of the variance at degree 1, 2, … `degrees`: (K, degrees).

    With h the number of bits in which two strings differ, Σ_S χ_S(x) χ_S(y) over |S| = d is the Krawtchouk polynomial
    K_d(h), so that a weight is the mean of f(x) f(y) K_d(h) over pairs of strings: over all pairs where there are all
    strings, which is exact, and over pairs of different ones in a sample, which is right on average.
    """
    bits = view.task.table.inputs.shape[1]
    strings, distances = _sample(bits)
    values = function(view, strings)
    values = values - values.mean(1, keepdim=True)
    found = []
    for own in values:
        products = torch.bincount(distances.reshape(-1), (own[:, None] * own).reshape(-1), minlength=bits + 1)
        if bits > EXACT_BITS:
            products[0] = 0
        found.append(_krawtchouk(bits, degrees(bits)) @ products)
    pairs = len(strings) ** 2 - (len(strings) if bits > EXACT_BITS else 0)
    return torch.stack(found) / pairs / values.square().mean(1, keepdim=True)


def influences(view: View) -> Tensor:
    """Return how much each bit matters, (K, n): a quarter of the mean square of what flipping it changes, over Var f.

    Their sum is the mean degree, each degree weighted by its share.
    """
    bits = view.task.table.inputs.shape[1]
    strings = _strings(bits)
    values = function(view, strings)
    variance = (values - values.mean(1, keepdim=True)).square().mean(1, keepdim=True)
    chosen = torch.arange(0, len(strings), max(1, len(strings) // FLIPPED))
    found = []
    for bit in range(bits):
        flipped = strings[chosen].clone()
        flipped[:, bit] = 1 - flipped[:, bit]
        found.append((function(view, flipped) - values[:, chosen]).square().mean(1) / 4)
    return torch.stack(found, dim=1) / variance


@functools.lru_cache(maxsize=4)
def _strings(bits: int) -> Tensor:
    """Return all strings of a few bits, or a sample of different ones: (N, n)."""
    if bits <= EXACT_BITS:
        codes = np.random.default_rng(0).permutation(2**bits)
    else:
        codes = np.random.default_rng(0).choice(2**bits, size=STRINGS, replace=False)
    return torch.from_numpy((codes[:, None] >> np.arange(bits)) & 1)


@functools.lru_cache(maxsize=2)
def _sample(bits: int) -> tuple[Tensor, Tensor]:
    """Return the strings, and in how many bits each two of them differ: (N, N)."""
    strings = _strings(bits)
    signs = (1 - 2 * strings).float()
    return strings, ((bits - signs @ signs.T) / 2).to(torch.uint8)


@functools.lru_cache(maxsize=8)
def _krawtchouk(bits: int, highest: int) -> Tensor:
    """Return K_d(h) = Σ_j (−1)^j C(h, j) C(n − h, d − j) for degrees d = 1 … highest and all distances h."""
    rows = [
        [sum((-1) ** j * math.comb(h, j) * math.comb(bits - h, d - j) for j in range(d + 1)) for h in range(bits + 1)]
        for d in range(1, highest + 1)
    ]
    return torch.tensor(rows, dtype=torch.float64)
