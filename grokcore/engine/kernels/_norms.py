"""Normalisation of the residual stream, forward and backward: torch's operations, and the same as two loops.

Shapes: K runs, R rows, D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from grokcore.lazy_torch import torch
from grokcore.models.base import Parameters
from grokcore.models.transformer import Transformer
from grokcore.numerics.loops import Place, floats, loop, part, place, serves
from grokcore.numerics.registers.sums import add_up

if TYPE_CHECKING:
    from torch import Tensor

LAYER_NORM_EPS = 1e-5
"""What is added to the variance in a normalisation, as torch.nn.LayerNorm does."""

SOME = 64
"""Rows whose gradients at gain and shift are added up before they are added to the others'."""

_u = np.uintp


@dataclass(frozen=True)
class Norm:
    """What the backward pass through a normalisation needs."""

    before: Tensor
    """(K, R, D): what entered."""
    normal: Tensor
    """(K, R, D): the same with mean 0 and variance 1."""
    mean: Tensor
    """(K, R, 1)."""
    scale: Tensor
    """(K, R, 1): one over the standard deviation."""


def normalise(
    net: Transformer, w: Parameters, names: Mapping[str, str], which: str, x: Tensor
) -> tuple[Tensor, Norm | None]:
    """Return x (K, R, D) normalised after `which` ("attention", "mlp"), if the network does so."""
    if net.norm == "none":
        return x, None
    if serves(x):
        return _normalised(w, names, which, x)
    normal, mean, scale = torch.native_layer_norm(x, (net.width,), None, None, LAYER_NORM_EPS)
    gain, shift = (w[names[f"{which}_{kind}"]].unsqueeze(1) for kind in ("gain", "shift"))
    return torch.addcmul(shift, normal, gain), Norm(x, normal, mean, scale)


def normalise_back(
    net: Transformer,
    w: Parameters,
    names: Mapping[str, str],
    which: str,
    norm: Norm | None,
    delta: Tensor,
    out: Mapping[str, Tensor],
) -> Tensor:
    """Turn the gradient after a normalisation into that before it; write those of gain and shift into `out`."""
    if norm is None:
        return delta
    if serves(delta):
        before = torch.empty_like(delta, memory_format=torch.contiguous_format)
        at = place(out[names[f"{which}_gain"]]), place(out[names[f"{which}_shift"]])
        seen = place(norm.normal), place(norm.scale), place(w[names[f"{which}_gain"]])
        _normalise_back(place(delta), *seen, *at, place(before), *delta.shape)
        return before
    torch.sum(delta, 1, out=out[names[f"{which}_shift"]])
    torch.sum(delta * norm.normal, 1, out=out[names[f"{which}_gain"]])
    delta = delta * w[names[f"{which}_gain"]].unsqueeze(1)
    back: Tensor = torch.ops.aten.native_layer_norm_backward(
        delta, norm.before, [net.width], norm.mean, norm.scale, None, None, [True, False, False]
    )[0]
    return back


def _normalised(w: Parameters, names: Mapping[str, str], which: str, x: Tensor) -> tuple[Tensor, Norm]:
    """Do what `normalise` does, by a loop."""
    found, normal = (torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(2))
    mean, scale = x.new_empty(*x.shape[:2], 1), x.new_empty(*x.shape[:2], 1)
    gain, shift = (place(w[names[f"{which}_{kind}"]]) for kind in ("gain", "shift"))
    each = (place(value) for value in (found, normal, mean, scale))
    _normalise(place(x), gain, shift, *each, *x.shape)
    return found, Norm(x, normal, mean, scale)


@part
def _sum(x: Any, to: Any) -> Any:
    """Return the sum of some numbers, which is written into the one of `to` too."""
    add_up((x.ctypes.data, len(x), to.ctypes.data))
    return to[0]


@loop
def _normalise(  # noqa: PLR0917
    x: Place,
    gain: Place,
    shift: Place,
    found: Place,
    normal: Place,
    mean: Place,
    scale: Place,
    runs: int,
    length: int,
    width: int,
) -> None:
    """Do what `normalise` does."""
    away, sums, share = np.empty(width, np.float32), np.empty(1, np.float32), np.float32(1 / width)
    squares, eps = np.empty(width, np.float32), np.float32(LAYER_NORM_EPS)
    for k in range(runs):
        g, s = floats(gain, k, width), floats(shift, k, width)
        entered, means, scales = floats(x, k, length * width), floats(mean, k, length), floats(scale, k, length)
        normals, left = floats(normal, k, length * width), floats(found, k, length * width)
        for r in range(length):
            before = entered[r * width :][:width]
            middle = _sum(before, sums) * share
            for i in range(width):
                away[i] = before[i] - middle
            for i in range(width):
                squares[i] = away[i] * away[i]
            by = np.float32(1) / np.sqrt(_sum(squares, sums) * share + eps)
            one, after = normals[r * width :][:width], left[r * width :][:width]
            for i in range(width):
                one[i] = away[i] * by
            for i in range(width):
                after[i] = one[i] * g[i] + s[i]
            means[r], scales[r] = middle, by


@loop
def _normalise_back(  # noqa: PLR0917
    delta: Place,
    normal: Place,
    scale: Place,
    gain: Place,
    at_gain: Place,
    at_shift: Place,
    before: Place,
    runs: int,
    length: int,
    width: int,
) -> None:
    """Do what `normalise_back` does: with n the normal and g = gain · delta, (g − mean(g) − n · mean(g n)) · scale."""
    each, times, sums = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(1, np.float32)
    gains, shifts, share = np.empty(width, np.float32), np.empty(width, np.float32), np.float32(1 / width)
    for k in range(runs):
        by, scales = floats(gain, k, width), floats(scale, k, length)
        to_gain, to_shift = floats(at_gain, k, width), floats(at_shift, k, width)
        deltas, normals = floats(delta, k, length * width), floats(normal, k, length * width)
        entered = floats(before, k, length * width)
        to_gain[:] = 0
        to_shift[:] = 0
        for start in range(0, length, SOME):
            gains[:] = 0
            shifts[:] = 0
            for r in range(start, min(start + SOME, length)):
                d, n = deltas[r * width :][:width], normals[r * width :][:width]
                for i in range(width):
                    each[i] = d[i] * by[i]
                for i in range(width):
                    times[i] = each[i] * n[i]
                for i in range(width):
                    gains[i] += d[i] * n[i]
                for i in range(width):
                    shifts[i] += d[i]
                mean, slope, s = _sum(each, sums) * share, _sum(times, sums) * share, scales[r]
                o = entered[r * width :][:width]
                for i in range(width):
                    o[i] = s * (each[i] - mean - n[i] * slope)
            for i in range(width):
                to_gain[i] += gains[i]
                to_shift[i] += shifts[i]
