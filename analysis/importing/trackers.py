"""What trackers export beside curves: a table with a row a run, and Weights & Biases' chart with a column a run."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.importing.curve_tables import Imported, is_accuracy
from analysis.runs.censoring import completed
from analysis.runs.columns import Table
from grokcore.errors import DataError

_OF_RUN = re.compile(r"(?P<run>.+) - (?P<metric>.+?)(?P<end>__MIN|__MAX)?")
"""How a column is called in the CSV of a chart of Weights & Biases."""


def has_milestones(frame: pd.DataFrame) -> bool:
    """Say whether a table has its runs' milestones already, as Optuna's `trials_dataframe` with them as attributes."""
    return {"t_mem", "t_gen"} <= set(frame.columns)


def runs_of_table(table: Table) -> Imported:
    """Return the run table of a table with a row a run: pairs [step, reached] apart, censored ones completed.

    So are trials of our own studies, whose attributes hold such pairs. Raises `DataError`.
    """
    frame, pairs = table.frame, []
    for name in ("t_mem", "t_gen"):
        values = [_pair(value) for value in frame[name]]
        if any(value is not None for value in values):
            steps, events = zip(*(value or (None, False) for value in values), strict=True)
            fresh: dict[str, Any] = {name: np.array(steps, dtype=float), f"{name}_event": events}
            frame = frame.assign(**fresh)
            pairs.append(name)
    if "run_id" not in frame.columns and "number" in frame.columns:
        frame = frame.assign(run_id=frame["number"].astype(str))
    lost = frame[["t_mem", "t_gen"]].isna().all(axis=1) & (frame.get("outcome", "") != "finished")
    notes = [f"{int(lost.sum())} runs without milestones that did not finish are left out."] if lost.any() else []
    frame, said = completed(frame[~lost].reset_index(drop=True))
    said += [f"{' and '.join(pairs)} are read as pairs: step, and whether it was reached."] if pairs else []
    return Imported(frame=frame, notes=("Read as a table with a row a run.", *said, *notes))


def _pair(value: Any) -> tuple[float, bool] | None:
    """Return a cell that holds a step and whether it was reached; None for any other."""
    if isinstance(value, str) and value.startswith(("[", "(")):
        try:
            value = json.loads(
                value.replace("(", "[").replace(")", "]").replace("True", "true").replace("False", "false")
            )
        except ValueError:
            return None
    if isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[1], bool):
        return float(value[0]), value[1]
    return None


def long_chart(frame: pd.DataFrame) -> pd.DataFrame | None:
    """Return the CSV of a chart, a column a run (``RUN - METRIC``), as a long table; None for any other table."""
    found = {name: match for name in frame.columns if (match := _OF_RUN.fullmatch(str(name)))}
    steps = [name for name in frame.columns if name not in found]
    if len(steps) != 1 or not found:
        return None
    curves = [(match["run"], match["metric"], name) for name, match in found.items() if not match["end"]]
    parts = [
        pd.DataFrame({"run_id": run, "step": frame[steps[0]]})
        .assign(**{metric: frame[name] for one, metric, name in curves if one == run})
        .dropna(thresh=3)
        for run in dict.fromkeys(run for run, _, _ in curves)
    ]
    return pd.concat(parts, ignore_index=True)


def joined_charts(charts: Sequence[pd.DataFrame]) -> tuple[pd.DataFrame, list[str]]:
    """Return charts of the same runs, as long tables, as one with all of their metrics.

    Raises `DataError` where only one of the two accuracies is in them.
    """
    long = charts[0]
    for chart in charts[1:]:
        again = sorted(set(long.columns) & set(chart.columns) - {"run_id", "step"})
        if again:
            raise DataError(f"{', '.join(again)} is in two charts; leave one of them out.")
        long = long.merge(chart, on=["run_id", "step"], how="outer", sort=False)
    metrics = [name for name in map(str, long.columns) if name not in ("run_id", "step")]
    if len(metrics) == 1 and is_accuracy(metrics[0]):
        raise DataError(
            f"the chart holds {metrics[0]} alone; give a folder with the charts of both accuracies, training and "
            "validation, or one chart that has both (in Python: run.history().to_csv)."
        )
    if len(charts) > 1:
        long = long.sort_values(["run_id", "step"], kind="stable", ignore_index=True)
    what = "a chart" if len(charts) == 1 else f"{len(charts)} charts"
    runs = long["run_id"].nunique()
    return long, [f"Read as {what} of Weights & Biases: a column is RUN - METRIC, {runs} runs."]
