"""Curves of many runs, thinned while they are read, so that memory does not grow with their length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from grokcore.errors import DataError

CURVE_POINTS = 90
"""Points kept of each run's curves, evenly spread in log steps."""
LEAST_POINTS = 24
"""Points below which a curve is not thinned."""
MOST_POINTS = 200_000
"""Points of all curves together; with many runs each keeps fewer, down to `LEAST_POINTS`."""
BATCH = 65_536
"""Rows of the file that are held at once."""


def points_each(runs: int) -> int:
    """Return how many points of each of `runs` curves are kept."""
    return max(LEAST_POINTS, min(CURVE_POINTS, MOST_POINTS // max(runs, 1)))


def thinned(steps: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.intp]:
    """Return at most `count` indices into increasing `steps`, evenly spread in log steps, both ends among them."""
    if len(steps) <= count:
        return np.arange(len(steps))
    log = np.log1p(steps.astype(float))
    wanted = np.linspace(log[0], log[-1], count)
    right = np.searchsorted(log, wanted).clip(1, len(log) - 1)
    nearer_left = wanted - log[right - 1] < log[right] - wanted
    return np.unique(np.concatenate([right - nearer_left, [0, len(log) - 1]]))


def read_curves(path: Path, runs: int) -> pd.DataFrame:
    """Return the curves in the long Parquet table at `path` (run_id, step, …), thinned to `points_each(runs)` a run.

    The file is read in pieces and the rows of a run may lie anywhere in it; where they follow one another, as in a
    sweep's curves.parquet, the points kept are those that `thinned` keeps of the whole curve. Raises `DataError` for a
    file that cannot be read.
    """
    from pyarrow import ArrowException, parquet

    count = points_each(runs)
    parts: list[pd.DataFrame] = []
    open_ended = pd.DataFrame()
    try:
        with parquet.ParquetFile(path) as file:
            if not {"run_id", "step"} <= set(file.schema_arrow.names):
                return pd.DataFrame(file.read().to_pandas())
            for batch in file.iter_batches(batch_size=BATCH):
                piece = pd.concat([open_ended, batch.to_pandas()], ignore_index=True)
                # The last run of a piece may go on in the next.
                last = (piece["run_id"] == piece["run_id"].iloc[-1]).to_numpy() if len(piece) else np.zeros(0, bool)
                parts.append(_thinned_runs(piece[~last], count))
                open_ended = piece[last]
    except (OSError, ValueError, ArrowException) as error:
        raise DataError(f"{path} cannot be read: {error}. Move it away to map the runs without curves.") from error
    parts.append(_thinned_runs(open_ended, count))
    whole = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    return _thinned_runs(whole, count)


def _thinned_runs(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return at most `count` rows of each run of a long table, in the order of their steps."""
    if not len(table):
        return table
    codes, _ = pd.factorize(table["run_id"])
    steps = table["step"].to_numpy()
    order = np.lexsort((steps, codes))
    order = order[codes[order] >= 0]
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    kept = [rows[thinned(steps[rows], count)] for rows in np.split(order, starts[1:])]
    return table.iloc[np.concatenate(kept)]
