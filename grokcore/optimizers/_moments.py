"""What Adam and AdamW have in common: running first and second moments of the gradient (Kingma & Ba 2015)."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Lt

from grokcore.config.per_run import Settings
from grokcore.lazy_torch import torch
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


def move_by_moments_(flat: Tensor, gradient: Tensor, state: Mapping[str, Tensor], at: Mapping[str, Tensor]) -> None:
    """Take Adam's step in place; `gradient` is overwritten."""
    first, second = state["first"], state["second"]
    first.lerp_(gradient, at["first"])
    second.lerp_(gradient.mul_(gradient), at["second"])
    torch.sqrt(second, out=gradient)
    torch.addcmul(at["eps"], gradient, at["root"], out=gradient)
    torch.div(first, gradient, out=gradient)
    flat.addcmul_(gradient, at["step"])
