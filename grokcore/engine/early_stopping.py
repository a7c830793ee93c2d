"""EarlyStopping: when a run may leave its cohort before its budget is spent, without changing its regime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from annotated_types import Ge, Gt, Le

from grokcore.config.component import Component
from grokcore.records.milestones import KEPT


@dataclass(frozen=True, kw_only=True)
class EarlyStopping(Component):
    """A run leaves when it has generalised and stayed there for a confirmation window.

    Train and validation accuracy must be at least `accuracy` at every evaluation from some step s to the present one,
    and the present step at least `window` · s. With an accuracy at the highest recorded threshold no milestone is lost.

    >>> rule = EarlyStopping(accuracy=0.99, window=1.25, least=0)
    >>> train, val = [0.2, 1.0, 1.0], [0.1, 1.0, 1.0]
    >>> rule.due([1, 100, 110], train, val), rule.due([1, 100, 125], train, val)
    (False, True)
    """

    accuracy: Annotated[float, Gt(0), Le(1)] = 0.99
    """Accuracy that both splits must keep."""
    window: Annotated[float, Ge(1)] = KEPT
    """The present step as a multiple of the step from which on the accuracies held."""
    least: Annotated[int, Ge(0)] = 20
    """Steps that the confirmation takes at least."""

    @classmethod
    def asked(cls, retire: bool | float) -> Self | None:
        """Return the rule of a sweep's `retire`: none, the usual one, or one with a window of so many times."""
        if retire is False:
            return None
        return cls() if retire is True else cls(window=float(retire))

    def due(self, steps: Sequence[int], train: Sequence[float], val: Sequence[float]) -> bool:
        """Say whether a run with these evaluations may leave now."""
        since = None
        for step, a, b in zip(reversed(steps), reversed(train), reversed(val), strict=True):
            if a < self.accuracy or b < self.accuracy:
                break
            since = step
        return since is not None and steps[-1] >= max(self.window * since, since + self.least)
