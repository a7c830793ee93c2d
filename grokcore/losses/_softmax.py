"""Loops of the exact cross-entropy; its operations in torch (grokcore/losses/cross_entropy.py) specify them.

Logits lie with the classes outermost, (K, C, N): examples are the lanes of a vector, and maxima and sums over classes
go class by class, in order. Some examples stay in the nearest cache from the first pass to the last.

Shapes: K runs, N examples, C classes, two at least.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from grokcore.lazy_torch import torch
from grokcore.losses._softmax_registers import (
    EXAMPLES,
    add_up_classes,
    largest_logits,
    powers,
    scale_all,
    sums_of_powers,
)
from grokcore.numerics.exponential import exponential
from grokcore.numerics.loops import Place, flags, floats, integers, loop, part, place, serves

if TYPE_CHECKING:
    from torch import Tensor


def may_loop(outputs: Tensor) -> bool:
    """Say whether the loops serve outputs (K, N, C)."""
    return serves(outputs) and outputs.dim() == 3 and outputs.shape[-1] > 1 and outputs.mT.is_contiguous()


def gradient_(outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Turn outputs (K, N, C) in place into the gradient of Σ_n weights · loss."""
    runs, _, classes = outputs.shape
    bias, scale = torch.zeros(1, classes).expand(runs, -1), torch.ones(1, 1).expand(runs, -1)
    _gradient(*_where(outputs, targets, weights), place(bias), place(bias), place(scale), False)
    return outputs


def biased_gradient_(
    outputs: Tensor, bias: Tensor, targets: Tensor, weights: Tensor, scale: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Do the same to outputs that lack a bias (K, C), then a scale (K, 1, 1); return the gradient at the bias too."""
    at_bias = torch.empty(bias.shape)
    scale = torch.ones(1, 1).expand(len(bias), -1) if scale is None else scale
    _gradient(*_where(outputs, targets, weights), place(bias), place(at_bias), place(scale), True)
    return outputs, at_bias


def margins(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return Σ_{j≠y} exp(z_j − max), max_{j≠y} z_j − z_y, and whether the answer is right, of each example: (K, N)."""
    sums, largest = torch.empty_like(targets, dtype=outputs.dtype), torch.empty_like(targets, dtype=outputs.dtype)
    right = torch.empty_like(targets, dtype=torch.bool)
    _margins(*_where(outputs, targets, sums, largest, right))
    return sums, largest, right


def _where(outputs: Tensor, *others: Tensor) -> tuple[int | Place, ...]:
    """Return runs, classes and examples, as the memory lies, and where tensors lie."""
    runs, examples, classes = outputs.shape
    return (runs, classes, examples, place(outputs.mT), *map(place, others))


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


@part
def _sum(lanes: Any, sums: Any) -> None:
    """Write the sum of each class's 32 lanes, half by half."""
    for c in range(len(lanes)):
        own = lanes[c]
        for i in range(16):
            own[i] += own[i + 16]
        for i in range(8):
            own[i] += own[i + 8]
        for i in range(4):
            own[i] += own[i + 4]
        sums[c] = (own[0] + own[2]) + (own[1] + own[3])


@loop
def _gradient(  # noqa: PLR0917
    runs: int,
    classes: int,
    length: int,
    logits: Place,
    targets: Place,
    weights: Place,
    bias: Place,
    at_bias: Place,
    scales: Place,
    summed: Any,
) -> None:
    """Do what `gradient_` and `biased_gradient_` do."""
    lanes = np.empty((classes, 32), np.float32)
    top, others, own = np.empty(EXAMPLES, np.float32), np.empty(EXAMPLES, np.float32), np.empty(EXAMPLES, np.float32)
    for k in range(runs):
        b, scale = floats(bias, k, classes), floats(scales, k, 1)[0]
        z = floats(logits, k, classes * length)
        to_bias, to_scale = bias[0] + 4 * k * bias[1], scales[0] + 4 * k * scales[1]
        lanes[:] = 0
        for start in range(0, length, EXAMPLES):
            n = min(EXAMPLES, length - start)
            y = integers(targets, k, length)[start : start + n]
            w = floats(weights, k, length)[start : start + n]
            at, to_top = logits[0] + 4 * (k * logits[1] + start), top.ctypes.data
            largest_logits((at, length, classes, to_bias, to_scale, to_top, n))
            _take_out(z[start:], y, length, own)
            for i in range(n):
                own[i] = (own[i] + b[y[i]]) * scale
            powers((at, length, classes, to_bias, to_scale, to_top, others.ctypes.data, n))
            for i in range(n):
                share = w[i] / (others[i] + exponential(own[i] - top[i]))
                own[i] = -others[i] * share
                top[i] = share
            scale_all((at, length, classes, to_top, n))
            _put_back(z[start:], y, length, own)
            if summed:
                add_up_classes((at, length, classes, lanes.ctypes.data, n))
        if summed:
            _sum(lanes, floats(at_bias, k, classes))


@loop
def _margins(  # noqa: PLR0917
    runs: int, classes: int, length: int, logits: Place, targets: Place, sums: Place, largest: Place, right: Place
) -> None:
    """Do what `margins` does; the logits of the targets are taken out and put back."""
    nothing, one = np.zeros(classes, np.float32), np.ones(1, np.float32)
    top, others, own = np.empty(EXAMPLES, np.float32), np.empty(EXAMPLES, np.float32), np.empty(EXAMPLES, np.float32)
    for k in range(runs):
        z = floats(logits, k, classes * length)
        for start in range(0, length, EXAMPLES):
            n = min(EXAMPLES, length - start)
            y = integers(targets, k, length)[start : start + n]
            _take_out(z[start:], y, length, own)
            at, to_top = logits[0] + 4 * (k * logits[1] + start), top.ctypes.data
            largest_logits((at, length, classes, nothing.ctypes.data, one.ctypes.data, to_top, n))
            to_sums = others.ctypes.data
            sums_of_powers((at, length, classes, nothing.ctypes.data, one.ctypes.data, to_top, to_sums, n))
            sum_ = floats(sums, k, length)[start : start + n]
            margin = floats(largest, k, length)[start : start + n]
            answered = flags(right, k, length)[start : start + n]
            for i in range(n):
                sum_[i], margin[i] = others[i], top[i] - own[i]
                answered[i] = top[i] < own[i] and others[i] == others[i]
                if top[i] == own[i]:  # of equal ones the first is the answer
                    first = 0
                    while z[first * length + start + i] != own[i]:
                        first += 1
                    answered[i] = y[i] < first
            _put_back(z[start:], y, length, own)
