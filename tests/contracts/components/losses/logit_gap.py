"""Logit gap: the square of what is missing to a gap of `gap` between the target's logit and the mean of all."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt

from grokcore.losses.base import Loss


@dataclass(frozen=True, kw_only=True)
class LogitGap(Loss):
    """max(0, gap − (z_y − mean z))²."""

    gap: Annotated[float, Gt(0)] = 3.0
    """How far the target's logit should stand out."""

    def _missing(self, outputs, targets):
        own = outputs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        return (self.gap - (own - outputs.mean(-1))).clamp_min(0)

    def values(self, outputs, targets):
        return self._missing(outputs, targets).square()

    def gradient_(self, outputs, targets, weights):
        slope = -2 * self._missing(outputs, targets) * weights
        gradient = (-slope / outputs.shape[-1]).unsqueeze(-1).expand_as(outputs).clone()
        return gradient.scatter_add_(-1, targets.unsqueeze(-1), slope.unsqueeze(-1))
