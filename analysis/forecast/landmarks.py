"""Landmarks: what is seen of a run at a few steps of a logarithmic grid, and what became of it after each of them.

A run is expanded into rows of (landmark, interval after it): was it still without generalisation when the interval
began, and did it generalise inside? Right-censored runs give the intervals they were watched through and no others, and
a crossing between two evaluations lies in the interval that holds it: a discrete hazard with landmarks (van Houwelingen
2007, doi 10.1111/j.1467-9469.2006.00529.x; person-period data, Singer and Willett 1993).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from grokcore.records.milestones import Milestone, first_passage

Array = npt.NDArray[np.float64]

PER_DECADE: Final = 5
"""Landmarks per factor of ten in steps: every 18th mark of the evaluations' grid, where light measures are taken."""
FIRST: Final = 1.6
"""log10 of the first landmark, step 40."""
SETTINGS: Final = ("rate", "decay", "expected")
"""What is known of a run before its first step, where it is; the last is the chance that a map gives it."""
CURVES: Final = ("train_accuracy", "val_accuracy", "train_loss", "val_loss", "weight_norm")
"""Curves that it looks at; only the accuracies are needed."""
SEEN: Final = (
    "log_step", "train_accuracy", "val_accuracy", "best_val_accuracy", "val_accuracy_gain", "log_since_memorised",
    "log_train_loss", "log_val_loss", "log_val_loss_below_peak", "train_loss_fall", "val_loss_fall",
    "norm_fall", "norm_below_peak",
)  # fmt: skip
"""What is seen at a landmark; a fall or gain is since half the step. NaN where it is not known."""
EXPECTED: Final = "expected_odds"
GIVEN: Final = ("log_decayed", EXPECTED)
"""What is known of the settings: log10 of step · rate · decay, the time of the decay's own clock, and the natural
logarithm of the odds that a map of the sweep's own runs gives this one to generalise within its budget.

The settings themselves are left out: where a rate or a fraction is critical differs from problem to problem.
"""
AHEAD: Final = ("log_ahead", "log_length")
"""Where the interval begins, log10 of its first step over the landmark's, and its length in log10."""
UNSURE: Final = 1e-4
"""No map is surer than this of what a run becomes."""
COLUMNS: Final = (*SEEN, *GIVEN, *AHEAD)


def landmarks(budget: int) -> list[int]:
    """Return the landmarks before `budget`: steps of the evaluations' own grid."""
    marks = np.arange(round(FIRST * PER_DECADE), math.ceil(math.log10(max(budget, 1)) * PER_DECADE) + 1)
    steps = np.unique(np.rint(10 ** (marks / PER_DECADE)).astype(int))
    return [int(step) for step in steps if step < budget]


def edges(landmark: int, budget: int) -> Array:
    """Return the edges of the intervals from a landmark to `budget`, both among them."""
    return np.array([landmark, *(step for step in landmarks(budget) if step > landmark), budget], dtype=float)


def seen(curves: Mapping[str, Any], settings: Mapping[str, Any], landmark: int, threshold: float) -> Array:
    """Return `SEEN` and `GIVEN` of a run at a landmark, from nothing after it, (15,)."""
    steps = np.asarray(curves["step"], dtype=float)
    until = steps <= landmark
    steps = steps[until]

    def column(name: str) -> tuple[Array, Array]:
        values = np.asarray(curves.get(name, np.full(len(until), np.nan)), dtype=float)[until]
        known = np.isfinite(values)
        return steps[known], values[known]

    def now_and_half(name: str) -> tuple[float, float, float]:
        at, values = column(name)
        if not len(values):
            return math.nan, math.nan, math.nan
        return float(values[-1]), float(np.interp(landmark / 2, at, values)), float(values.max())

    train, _, best_train = now_and_half("train_accuracy")
    val, val_half, best = now_and_half("val_accuracy")
    (train_loss, train_loss_half, _), (val_loss, val_loss_half, peak) = map(now_and_half, ("train_loss", "val_loss"))
    norm, norm_half, heaviest = now_and_half("weight_norm")
    since = math.nan
    if best_train >= threshold:
        memorised = first_passage(*_whole(*column("train_accuracy")), threshold).step
        since = math.log10(landmark / max(memorised, 1))
    rate, decay, expected = (_number(settings.get(name)) for name in SETTINGS)
    row = [math.log10(landmark), train, val, best, val - val_half, since]
    row += [_log(train_loss), _log(val_loss), _log(val_loss / peak if peak else math.nan)]
    row += [_log(train_loss) - _log(train_loss_half), _log(val_loss) - _log(val_loss_half)]
    row += [_log(norm) - _log(norm_half), _log(norm) - _log(heaviest)]
    return np.array([*row, _log(landmark * rate * decay), _odds(expected)])


def rows(
    curves: Mapping[str, Any], settings: Mapping[str, Any], t_gen: Milestone, budget: int, threshold: float
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return a run as rows of `COLUMNS`, (N, 17), and whether it generalised in the interval of each, (N,)."""
    found: list[Array] = []
    events: list[bool] = []
    for landmark in landmarks(budget):
        if landmark >= t_gen.step:
            break
        at = seen(curves, settings, landmark, threshold)
        ends = edges(landmark, budget)
        for begin, end in itertools.pairwise(ends):
            event = t_gen.event and begin < t_gen.step <= end
            if not event and t_gen.step < end:
                break
            found.append(np.append(at, ahead(landmark, begin, end)))
            events.append(event)
            if event:
                break
    return np.array(found).reshape(-1, len(COLUMNS)), np.array(events, dtype=bool)


def ahead(landmark: int, begin: float, end: float) -> list[float]:
    """Return `AHEAD` of the interval from `begin` to `end`."""
    return [math.log10(begin / landmark), math.log10(end / begin)]


def _whole(steps: Array, values: Array) -> tuple[npt.NDArray[np.int64], Array]:
    return steps.astype(np.int64), values


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float, np.number)) else math.nan


def _odds(chance: float) -> float:
    """Return the natural logarithm of the odds of a chance, which is never quite 0 or 1; NaN stays."""
    return float(logit(np.clip(chance, UNSURE, 1.0 - UNSURE)))


def _log(value: float) -> float:
    """Return log10, with a floor: a decay of 0 is a very small one, NaN stays."""
    return value if math.isnan(value) else math.log10(max(value, 1e-12))
