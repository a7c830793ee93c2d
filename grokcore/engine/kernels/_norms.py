"""Normalisation of the residual stream, forward and backward.

Shapes: K runs, R rows, D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.models.base import Parameters
from grokcore.models.transformer import Transformer

if TYPE_CHECKING:
    from torch import Tensor

LAYER_NORM_EPS = 1e-5
"""What is added to the variance in a normalisation, as torch.nn.LayerNorm does."""


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
    torch.sum(delta, 1, out=out[names[f"{which}_shift"]])
    torch.sum(delta * norm.normal, 1, out=out[names[f"{which}_gain"]])
    delta = delta * w[names[f"{which}_gain"]].unsqueeze(1)
    back: Tensor = torch.ops.aten.native_layer_norm_backward(
        delta, norm.before, [net.width], norm.mean, norm.scale, None, None, [True, False, False]
    )[0]
    return back
