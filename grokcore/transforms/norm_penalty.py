"""Norm penalty: L2 regularisation that begins once a run has memorised its training set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Gt, Le

from grokcore.config.per_run import Settings
from grokcore.lazy_torch import torch
from grokcore.transforms.base import Transform, Weights

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class NormPenalty(Transform):
    """Adds the gradient of strength / 2 · ‖θ‖² from the first evaluation on at which training accuracy is `memorised`.

    It stays from then on, whatever the accuracy does. Unlike decay it says nothing of how the network memorises, only
    of what comes after; evaluations lie 90 to the decade of steps, so it begins within 2.5 % of when it should.
    """

    strength: Annotated[float, Gt(0)] = 1e-3
    """Factor of the weights in the gradient; coupled, as the decay of SGD is."""
    memorised: Annotated[float, Gt(0), Le(1)] = 0.99
    """Training accuracy from which on it counts."""

    def state(self, flat: Tensor) -> dict[str, Tensor]:
        """Return whether each run has memorised, (K, 1): 0 or 1."""
        return {"begun": torch.zeros(len(flat), 1, dtype=flat.dtype, device=flat.device)}

    def look(self, state: Mapping[str, Tensor], run: int, accuracy: float) -> None:
        """Note that the run has memorised."""
        if accuracy >= self.memorised:
            state["begun"][run] = 1.0

    def coefficients(self, settings: Settings, steps: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
        """Return the strength."""
        return {"strength": settings["strength"] * np.ones((len(steps), 1))}

    def change_gradient(self, weights: Weights, at: Mapping[str, Tensor]) -> None:
        """Add strength · θ where it has begun."""
        weights.gradient.addcmul_(weights.flat, at["strength"] * weights.state["begun"])
