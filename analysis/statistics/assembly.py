"""Assembly order: in which order the measures of a run took on their final values."""

from __future__ import annotations

import numpy as np
import pandas as pd

SMALLEST = 0.1
"""Least change of a curve, over its largest absolute value, for which a half of it means anything."""


def assembly_order(curves: pd.DataFrame) -> pd.DataFrame:
    """Return one row a curve, ordered by `half`: the step at which it passed half of its total change for good.

    `curves` has `step` and a column for each curve, NaN where not taken. `start` and `end` are the steps of a tenth and
    nine tenths of the change, `change` the change itself, from the first value to the last. Steps are interpolated on
    log time. Curves that change by less than a tenth of their size are left out.
    """
    rows = []
    for name in curves.columns.drop(["step", "run_id"], errors="ignore"):
        known = curves[["step", name]].dropna()
        if len(known) < 3:
            continue
        times = np.log10(known["step"].to_numpy(dtype=float).clip(min=1))
        values = known[name].to_numpy(dtype=float)
        change = values[-1] - values[0]
        if abs(change) <= SMALLEST * np.abs(values).max():
            continue
        progress = (values - values[0]) / change
        marks = {mark: 10 ** _passed(times, progress, share) for mark, share in SHARES.items()}
        rows.append({"measure": str(name), "change": change, **marks})
    frame = pd.DataFrame(rows, columns=["measure", "change", *SHARES])
    return frame.sort_values("half", kind="stable").reset_index(drop=True)


SHARES = {"start": 0.1, "half": 0.5, "end": 0.9}


def _passed(times: np.ndarray, progress: np.ndarray, share: float) -> float:
    """Return the time from which on `progress` stays at or above `share`; its last value is 1."""
    below = np.flatnonzero(progress < share)
    if not len(below):
        return float(times[0])
    i = int(below[-1])
    rise = progress[i + 1] - progress[i]
    return float(times[i] + (times[i + 1] - times[i]) * (share - progress[i]) / rise)
