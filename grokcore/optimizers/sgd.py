"""SGD: gradient descent with heavy-ball momentum and L2 regularisation, as torch.optim.SGD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Lt

from grokcore.config.per_run import Settings
from grokcore.optimizers.base import Floats, Optimizer, pulled_, scheduled_decay, scheduled_rate

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """b ← momentum · b + ∇L + decay · θ; θ ← θ − rate · b."""

    momentum: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of the last step that is kept."""

    @classmethod
    def slots(cls) -> tuple[str, ...]:
        """Return the running step."""
        return ("step",)

    @classmethod
    def coefficients(cls, settings: Settings, steps: npt.NDArray[np.int64]) -> dict[str, Floats]:
        """Scheduled rates and decays."""
        rate = scheduled_rate(settings, steps)
        everywhere = np.ones_like(rate)
        return {
            "decay": scheduled_decay(settings, steps),
            "momentum": settings["momentum"] * everywhere,
            "rate": -rate,
        }

    @classmethod
    def update(cls, flat: Tensor, gradient: Tensor, state: Mapping[str, Tensor], at: Mapping[str, Tensor]) -> None:
        """Four elementwise operations on the flat vectors."""
        pulled_(gradient, flat, state, at["decay"])
        step = state["step"].mul_(at["momentum"]).add_(gradient)
        flat.addcmul_(step, at["rate"])
