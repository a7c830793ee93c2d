"""What a forecast ruled out when it stopped a run, and at which accuracies its word counts.

It was said of one accuracy. A run that will not reach it will reach no higher one either; whether it would have reached
a lower one nobody asked, and there the run is censored at its last step and nothing more. So it is with memorising,
which was ruled out of runs only that had not memorised by the accuracy of the forecast when they were stopped.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.runs.cells import Array, truths
from analysis.runs.censoring import MOST_STEPS
from grokcore.records.milestones import THRESHOLDS
from grokcore.records.older_reasons import ruled_out_until
from grokcore.records.regimes import RegimeRule

COLUMNS = ("ruled_out", "ruled_out_accuracy")
"""Columns of a checked table that have the forecast's word: until which step, and of which accuracy."""


def ruled_out(frame: pd.DataFrame) -> Array:
    """Return until which step a forecast ruled out that a stopped run generalises, for each run of a table; or 0.

    It is the column `ruled_out` of a table of ours, and stands in the reasons of one from before there was any.
    """
    if not {"outcome", "reason"} <= set(frame.columns):
        return np.zeros(len(frame))
    steps = _numbers(frame, "ruled_out").fillna(frame["reason"].map(ruled_out_until)).clip(0, MOST_STEPS)
    return np.where(frame["outcome"].eq("stopped"), steps, 0.0)


def accuracies(frame: pd.DataFrame) -> Array:
    """Return of which accuracy each forecast was, for each run of a table.

    It is the column `ruled_out_accuracy`; one of before there was any is read as of the shipped forecaster's accuracy.
    """
    told = _numbers(frame, "ruled_out_accuracy")
    return told.where(told.between(0, 1)).fillna(RegimeRule.threshold).to_numpy(dtype=float)


def believed_until(table: pd.DataFrame, name: str, threshold: float) -> Array:
    """Return until which step t_mem or t_gen at `threshold` is ruled out, (runs,), by a table with `COLUMNS`; or 0."""
    steps = table["ruled_out"].to_numpy(dtype=float)
    if not steps.any():
        return steps
    of = table["ruled_out_accuracy"].to_numpy(dtype=float)
    counts = threshold >= of - 1e-9
    if name == "t_mem":
        counts &= ~_may_have_memorised(table, of, threshold)
    return np.where(counts & ~table[f"{name}_event"].to_numpy(dtype=bool), steps, 0.0)


def _may_have_memorised(table: pd.DataFrame, of: Array, threshold: float) -> npt.NDArray[np.bool_]:
    """Say of which runs it is not certain that they had not reached the accuracy `of` in training.

    That is certain of those that had not reached the nearest recorded accuracy at or below; where a table has but one
    accuracy, `threshold`, of those that had not reached that, if it is the one.
    """
    recorded = {known: f"t_train_{round(100 * known):03d}_event" for known in THRESHOLDS}
    reached = {known: truths(table, name) for known, name in recorded.items() if name in table.columns}
    reached.setdefault(threshold, table["t_mem_event"].to_numpy(dtype=bool))
    found = np.ones(len(table), dtype=bool)
    for known in sorted(reached):
        found = np.where(known <= of + 1e-9, reached[known], found)
    return found


def _numbers(frame: pd.DataFrame, name: str) -> pd.Series:
    return pd.to_numeric(frame.get(name, pd.Series(np.nan, index=frame.index)), errors="coerce")
