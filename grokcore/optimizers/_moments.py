"""What Adam and AdamW have in common: running first and second moments of the gradient (Kingma & Ba 2015)."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Lt

from grokcore.config.per_run import Settings
from grokcore.lazy_torch import torch
from grokcore.numerics.loops import Place, floats, loop, place, serves
from grokcore.optimizers.base import Floats, Optimizer, scheduled_rate

if TYPE_CHECKING:
    from torch import Tensor

Beta = Annotated[float, Ge(0), Lt(1)]
"""Decay rate of a moving average."""


@dataclass(frozen=True, kw_only=True)
class MomentOptimizer(Optimizer, abc.ABC):
    """A step of rate · m̂ / (√v̂ + eps), with m̂ and v̂ the bias-corrected moments."""

    betas: tuple[Beta, Beta] = (0.9, 0.98)
    """Decay rates of the first and second moments; (0.9, 0.98) in Power et al. and Nanda et al."""
    eps: Annotated[float, Gt(0)] = 1e-8
    """Added to the root of the second moment."""

    @classmethod
    def in_one_pass(cls, flat: Tensor) -> bool:
        """Where it is a loop."""
        return _is_a_loop(flat)

    @classmethod
    def slots(cls) -> tuple[str, ...]:
        """First and second moment."""
        return ("first", "second")

    @classmethod
    def moment_coefficients(cls, settings: Settings, steps: npt.NDArray[np.int64]) -> dict[str, Floats]:
        """Return what `move_by_moments_` needs."""
        taken = steps[:, None] + 1.0
        rate = scheduled_rate(settings, steps)
        first, second = settings["betas_0"], settings["betas_1"]
        everywhere = np.ones_like(rate)
        return {
            "first": (1.0 - first) * everywhere,
            "second": (1.0 - second) * everywhere,
            "root": 1.0 / np.sqrt(1.0 - second**taken),
            "eps": settings["eps"] * everywhere,
            "step": -rate / (1.0 - first**taken),
        }


def move_by_moments_(
    flat: Tensor, gradient: Tensor, state: Mapping[str, Tensor], at: Mapping[str, Tensor], keep: Tensor | None = None
) -> None:
    """Shrink the weights by the factor `keep`, if given, and take Adam's step in place; `gradient` is overwritten."""
    first, second = state["first"], state["second"]
    if _is_a_loop(flat):
        shrink = torch.ones_like(at["eps"]) if keep is None else keep
        each = (shrink, *(at[name] for name in ("first", "second", "root", "eps", "step")))
        memory = (place(tensor) for tensor in (flat, gradient, first, second))
        _move(*memory, *(place(numbers) for numbers in each), *flat.shape)
        return
    if keep is not None:
        flat.mul_(keep)
    first.lerp_(gradient, at["first"])
    second.lerp_(gradient.mul_(gradient), at["second"])
    torch.sqrt(second, out=gradient)
    torch.addcmul(at["eps"], gradient, at["root"], out=gradient)
    torch.div(first, gradient, out=gradient)
    flat.addcmul_(gradient, at["step"])


def _is_a_loop(flat: Tensor) -> bool:
    return flat.dim() == 2 and flat.stride(1) == 1 and serves(flat)


@loop
def _move(  # noqa: PLR0917, loops have no names for what they are given
    flat: Place,
    gradient: Place,
    first: Place,
    second: Place,
    keep: Place,
    new_first: Place,
    new_second: Place,
    root: Place,
    eps: Place,
    step: Place,
    runs: int,
    length: int,
) -> None:
    """Do what `move_by_moments_` does, with numbers (K, 1) that are each run's."""
    for k in range(runs):
        w, g = floats(flat, k, length), floats(gradient, k, length)
        m, v = floats(first, k, length), floats(second, k, length)
        shrink, share, share_2 = floats(keep, k, 1)[0], floats(new_first, k, 1)[0], floats(new_second, k, 1)[0]
        scale, floor, move = floats(root, k, 1)[0], floats(eps, k, 1)[0], floats(step, k, 1)[0]
        for i in range(length):
            new = m[i] + share * (g[i] - m[i])
            new_2 = v[i] + share_2 * (g[i] * g[i] - v[i])
            m[i], v[i] = new, new_2
            w[i] = shrink * w[i] + move * (new / (floor + scale * math.sqrt(new_2)))
