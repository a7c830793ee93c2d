"""Clipped: a gradient longer than `length` is shortened to it."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt

from grokcore.transforms.base import Transform, inner_products


@dataclass(frozen=True, kw_only=True)
class Clipped(Transform):
    """g ← g · min(1, length / ‖g‖)."""

    length: Annotated[float, Gt(0)] = 0.1
    """Longest gradient."""

    def coefficients(self, settings, steps):
        return {"length": settings["length"] * np.ones((len(steps), 1))}

    def change_gradient(self, weights, at):
        norm = inner_products(weights.gradient, weights.gradient).sqrt().to(weights.gradient)
        weights.gradient.mul_((at["length"] / norm.clamp_min(1e-30)).clamp_max(1))
