"""Milestones: the first step at which an accuracy reached a threshold, or that it had not by the last step seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Split = Literal["train", "val"]

THRESHOLDS: tuple[float, ...] = (0.5, 0.9, 0.95, 0.99)
"""The accuracies recorded for every run, so that a map can be redrawn under another threshold without training."""


@dataclass(frozen=True)
class Milestone:
    """A right-censored first passage: `step` is when it happened (`event`), or the last step at which it had not.

    >>> Milestone(event=True, step=900).within(1000), Milestone(event=False, step=900).within(1000)
    (True, False)
    """

    event: bool
    step: int

    def within(self, budget: float) -> bool:
        """Say whether the milestone was reached at or before `budget` optimizer steps."""
        return self.event and self.step <= budget


def first_passage(
    steps: Sequence[int] | npt.NDArray[np.int64], accuracies: npt.ArrayLike, threshold: float
) -> Milestone:
    """Return the first of `steps` whose accuracy is at least `threshold`; censored at the last step if there is none.

    First passage is not stability: accuracy may fall again afterwards (see `Outcome.UNSTABLE`).
    """
    reached = np.flatnonzero(np.asarray(accuracies, dtype=float) >= threshold)
    steps = np.asarray(steps)
    if reached.size:
        return Milestone(event=True, step=int(steps[reached[0]]))
    return Milestone(event=False, step=int(steps[-1]))


def evaluated_before(steps: Sequence[int] | npt.NDArray[np.int64], step: int) -> int:
    """Return the last of the evaluated, increasing `steps` before `step`, or 0: a milestone at `step` lies after it."""
    earlier = np.searchsorted(np.asarray(steps), step)
    return int(np.asarray(steps)[earlier - 1]) if earlier else 0
