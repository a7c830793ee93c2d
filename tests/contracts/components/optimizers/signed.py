"""Signed: every weight moves by the rate, in the direction of its running gradient's sign (Bernstein et al. 2018)."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Lt

from grokcore.optimizers.base import Optimizer, decayed_, scheduled_decay, scheduled_rate


@dataclass(frozen=True, kw_only=True)
class Signed(Optimizer):
    """b ← momentum · b + (1 − momentum) ∇L; θ ← (1 − rate · decay) θ − rate · sign(b) (arXiv 1802.04434)."""

    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    """Share of the running gradient that stays."""

    @classmethod
    def slots(cls):
        return ("running",)

    @classmethod
    def coefficients(cls, settings, steps):
        rate = scheduled_rate(settings, steps)
        return {
            "keep": 1 - rate * scheduled_decay(settings, steps),
            "fresh": (1 - settings["momentum"]) * np.ones_like(rate),
            "rate": -rate,
        }

    @classmethod
    def update(cls, flat, gradient, state, at):
        running = state["running"].lerp_(gradient, at["fresh"])
        decayed_(flat, state, at["keep"]).addcmul_(running.sign(), at["rate"])
