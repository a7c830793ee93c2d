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


KEPT = 1.25
"""How many times a step must be behind a run before what began at that step counts as there for good."""


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


def forgetting(steps: Sequence[int] | npt.NDArray[np.int64], accuracies: npt.ArrayLike, threshold: float) -> Milestone:
    """Return when an accuracy that was reached and kept was lost for good; censored at the last step if it was not.

    It was kept if it was at least `threshold` at every evaluation from some step s to one at `KEPT` · s or later. It is
    lost from the first evaluation on after which it never is again, if the last step is `KEPT` times as late or later:
    one that is below at the very end may come back (see `Outcome.UNSTABLE`). Evaluations that are NaN are left out.
    """
    values, at = np.asarray(accuracies, dtype=float), np.asarray(steps)
    above, at_known = values[~np.isnan(values)] >= threshold, at[~np.isnan(values)]
    never = Milestone(event=False, step=int(at[-1]))
    stretches = np.flatnonzero(np.diff(above, prepend=False, append=False)).reshape(-1, 2)
    if not any(at_known[end - 1] >= KEPT * max(at_known[begin], 1) for begin, end in stretches) or above[-1]:
        return never
    lost = int(at_known[stretches[-1, 1]])
    return Milestone(event=True, step=lost) if at[-1] >= KEPT * lost else never


def evaluated_before(steps: Sequence[int] | npt.NDArray[np.int64], step: int) -> int:
    """Return the last of the evaluated, increasing `steps` before `step`, or 0: a milestone at `step` lies after it."""
    earlier = np.searchsorted(np.asarray(steps), step)
    return int(np.asarray(steps)[earlier - 1]) if earlier else 0
