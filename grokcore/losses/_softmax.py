"""Loops of the exact cross-entropy; its operations in torch (grokcore/losses/cross_entropy.py) specify them.

Logits lie with the classes outermost, (K, C, N): examples are the lanes of a vector, and maxima and sums over classes
go class by class, in order. Some hundred examples stay in the nearest cache from the first pass to the last.

Shapes: K runs, N examples, C classes, two at least.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from grokcore.lazy_torch import torch
from grokcore.numerics.loops import Rows, loop, part, rows, serves

if TYPE_CHECKING:
    from torch import Tensor

EXAMPLES = 192
"""Examples that are gone through together."""

_LOG2_E = np.float32(1.0 / math.log(2.0))
_ROUND = np.float32(3 << 22)
"""A sum with it is rounded to a whole number, which then stands in the last bits."""
_SMALLEST = np.float32(-87.33)
"""Below its exponential there are only subnormal numbers."""
_1, _2, _3, _4, _5, _6 = (
    np.float32(c) for c in (0.69314718, 0.24022648, 0.055503324, 0.009618437, 0.0013398875, 0.00015353362)
)
"""2^f = 1 + f · (_1 + f · (_2 + …)) for |f| ≤ 1/2: the least largest relative error, 8e-8 with float32's rounding."""


def may_loop(outputs: Tensor) -> bool:
    """Say whether the loops serve outputs (K, N, C)."""
    return serves(outputs) and outputs.dim() == 3 and outputs.shape[-1] > 1 and outputs.mT.is_contiguous()


def gradient_(outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Turn outputs (K, N, C) in place into the gradient of Σ_n weights · cross-entropy."""
    _gradient(_memory(outputs), *_sizes(outputs), rows(targets), rows(weights))
    return outputs


def margins(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return Σ_{j≠y} exp(z_j − max), max_{j≠y} z_j − z_y, and whether the answer is right, of each example: (K, N)."""
    sums, largest = torch.empty_like(targets, dtype=outputs.dtype), torch.empty_like(targets, dtype=outputs.dtype)
    right = torch.empty_like(targets, dtype=torch.bool)
    found = (rows(each) for each in (sums, largest, right))
    _margins(_memory(outputs), *_sizes(outputs), rows(targets), *found)
    return sums, largest, right


def _memory(outputs: Tensor) -> Rows:
    return rows(outputs.mT.flatten(1))


def _sizes(outputs: Tensor) -> tuple[int, int, int]:
    """Return runs, classes and examples, as the memory lies."""
    runs, examples, classes = outputs.shape
    return runs, classes, examples


@part
def _exp(x: Any) -> Any:
    """exp(x) of x ≤ 0, to 8e-8 and the rounding of x · log₂ e; 0 where it would be subnormal."""
    power = x * _LOG2_E
    whole = power + _ROUND
    f = power - (whole - _ROUND)
    p = _6 * f + _5
    p = p * f + _4
    p = p * f + _3
    p = p * f + _2
    p = p * f + _1
    p = p * f + np.float32(1)
    raised = np.float32(p).view(np.int32) + np.int32(np.float32(whole).view(np.int32) << np.int32(23))
    return np.float32(0) if x < _SMALLEST else np.int32(raised).view(np.float32)


@part
def _largest(z: Any, classes: int, length: int, top: Any) -> None:
    """Write the largest logit of each example into `top`, or what is no number if the first is none."""
    top[:] = z[: len(top)]
    for c in range(1, classes):
        row = z[c * length : c * length + len(top)]
        for i in range(len(top)):
            top[i] = row[i] if row[i] > top[i] else top[i]


@part
def _take_out(z: Any, targets: Any, length: int, own: Any) -> None:
    """Take the logits of the targets out into `own`."""
    for i in range(len(targets)):
        own[i] = z[targets[i] * length + i]
        z[targets[i] * length + i] = -np.inf


@part
def _put_back(z: Any, targets: Any, length: int, own: Any) -> None:
    """Put `own` where the targets are."""
    for i in range(len(targets)):
        z[targets[i] * length + i] = own[i]


@loop
def _gradient(logits: Rows, runs: int, classes: int, length: int, targets: Rows, weights: Rows) -> None:
    """Do what `gradient_` does."""
    top, others, own = np.empty(EXAMPLES, np.float32), np.empty(EXAMPLES, np.float32), np.empty(EXAMPLES, np.float32)
    for k in range(runs):
        z = logits[0][k * logits[1] : k * logits[1] + classes * length]
        for start in range(0, length, EXAMPLES):
            n = min(EXAMPLES, length - start)
            y = targets[0][k * targets[1] + start : k * targets[1] + start + n]
            w = weights[0][k * weights[1] + start : k * weights[1] + start + n]
            _largest(z[start:], classes, length, top[:n])
            _take_out(z[start:], y, length, own)
            others[:n] = 0
            for c in range(classes):
                row = z[c * length + start : c * length + start + n]
                for i in range(n):
                    power = _exp(row[i] - top[i])
                    row[i] = power
                    others[i] += power
            for i in range(n):
                share = w[i] / (others[i] + _exp(own[i] - top[i]))
                own[i] = -others[i] * share
                top[i] = share
            for c in range(classes):
                row = z[c * length + start : c * length + start + n]
                for i in range(n):
                    row[i] *= top[i]
            _put_back(z[start:], y, length, own)


@loop
def _margins(  # noqa: PLR0917
    logits: Rows, runs: int, classes: int, length: int, targets: Rows, sums: Rows, largest: Rows, right: Rows
) -> None:
    """Do what `margins` does; the logits of the targets are taken out and put back."""
    top, others, own = np.empty(EXAMPLES, np.float32), np.empty(EXAMPLES, np.float32), np.empty(EXAMPLES, np.float32)
    for k in range(runs):
        z = logits[0][k * logits[1] : k * logits[1] + classes * length]
        for start in range(0, length, EXAMPLES):
            n = min(EXAMPLES, length - start)
            y = targets[0][k * targets[1] + start : k * targets[1] + start + n]
            _take_out(z[start:], y, length, own)
            _largest(z[start:], classes, length, top[:n])
            others[:n] = 0
            for c in range(classes):
                row = z[c * length + start : c * length + start + n]
                for i in range(n):
                    others[i] += _exp(row[i] - top[i])
            sum_ = sums[0][k * sums[1] + start : k * sums[1] + start + n]
            margin = largest[0][k * largest[1] + start : k * largest[1] + start + n]
            answered = right[0][k * right[1] + start : k * right[1] + start + n]
            for i in range(n):
                sum_[i], margin[i] = others[i], top[i] - own[i]
                answered[i] = top[i] < own[i] and others[i] == others[i]
                if top[i] == own[i]:  # of equal ones the first is the answer
                    first = 0
                    while z[first * length + start + i] != own[i]:
                        first += 1
                    answered[i] = y[i] < first
            _put_back(z[start:], y, length, own)
