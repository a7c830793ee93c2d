"""Censored milestones of anyone's table: which were reached, until when the others were looked for, contradictions."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.runs.cells import Array, as_numbers, empty, shown, truths
from grokcore.errors import DataError

LAST_STEPS = ("last_step", "_step", "global_step", "steps", "step")
"""Columns that say until when a run was followed, the surest first; `steps` may be the budget it was given."""
CUT_SHORT = ("stopped", "failed", "running")
"""Outcomes of runs that may be censored before the one budget."""
MOST_STEPS = 2**53
"""Steps up to which a float counts every one."""
_MILESTONE = re.compile(r"t_mem|t_gen|t_(?:train|val)_\d{3}")


def last_step_column(frame: pd.DataFrame) -> str | None:
    """Return the column of each run's last step, or None."""
    return next((name for name in LAST_STEPS if name in frame.columns), None)


def last_steps(frame: pd.DataFrame) -> Array:
    """Return each run's last step; NaN where the table does not say."""
    name = last_step_column(frame)
    return np.full(len(frame), np.nan) if name is None else steps_of(frame, name)


def steps_of(frame: pd.DataFrame, name: str) -> Array:
    """Return a column of steps, NaN where it is empty or infinite; raises `DataError` for a cell of another kind."""
    values = as_numbers(frame[name])
    wrong = np.isnan(values) & ~empty(frame[name]) | np.isfinite(values) & (np.abs(values) > MOST_STEPS)
    if wrong.any():
        place = int(np.argmax(wrong))
        raise DataError(
            f"column {name}: {shown(frame[name].iloc[place])} (row {frame.index[place]}) is not a step "
            f"({int(wrong.sum())} of {len(values)} rows); give optimizer steps, or leave the cell empty."
        )
    return np.where(np.isfinite(values), values, np.nan)


def completed(frame: pd.DataFrame, budget: int | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Return a run table with what follows from the rest of it, and in sentences what was concluded.

    Without t_gen_event (t_mem_event) a run reached it where t_gen is a step. An empty milestone that was not reached is
    censored at the run's last step where a column says that, else at `budget`. A run that was cut short and does not
    say when is left out. Raises `DataError` for a cell that is no step, and where an event cannot be told.
    """
    names = [str(name) for name in frame.columns if _MILESTONE.fullmatch(str(name))]
    if all(_whole(frame, name) for name in names):
        return frame, []
    steps = {name: steps_of(frame, name) for name in names}
    last = last_steps(frame)
    events: dict[str, npt.NDArray[np.bool_]] = {}
    notes: list[str] = []
    concluded: list[str] = []
    for name in names:
        if f"{name}_event" in frame.columns:
            events[name] = _told_events(frame, name, steps[name])
        else:
            events[name] = _concluded_events(name, steps, last)
            concluded.append(name)
    if concluded:
        notes.append(f"No column says whether {' and '.join(concluded)} were reached: they were where they are steps.")
    seen = np.fmax.reduce([last, *steps.values()])
    unknown = np.isnan(last) & _cut_short(frame) & np.any([_holes(steps[n], events[n]) for n in names], axis=0)
    for name in names:
        hole = _holes(steps[name], events[name])
        steps[name] = np.where(hole, last, steps[name])
        rest = _holes(steps[name], events[name]) & ~unknown
        if rest.any() and budget is not None:
            steps[name] = np.where(rest, np.fmax(seen, budget), steps[name])
            notes.append(
                f"{name} is empty in {int(rest.sum())} runs: taken as not reached within the budget, {budget:,} steps."
            )
    changed = {name: steps[name] for name in names} | {f"{name}_event": events[name] for name in names}
    if unknown.any():
        notes.append(f"{int(unknown.sum())} runs that were cut short and do not say at which step are left out.")
    return frame.assign(**changed)[~unknown], notes


def _whole(frame: pd.DataFrame, name: str) -> bool:
    """Say whether a milestone's two columns are numbers without holes and booleans already."""
    event = frame.get(f"{name}_event")
    if event is None or event.dtype != bool or not pd.api.types.is_numeric_dtype(frame[name]):
        return False
    return bool(np.isfinite(as_numbers(frame[name])).all())


def _holes(step: Array, event: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.isnan(step) & ~event


def _cut_short(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    if "outcome" not in frame.columns:
        return np.zeros(len(frame), dtype=bool)
    return frame["outcome"].isin(CUT_SHORT).to_numpy(dtype=bool)


def _told_events(frame: pd.DataFrame, name: str, step: Array) -> npt.NDArray[np.bool_]:
    """Return the events the table tells; where it tells neither step nor event, there was none."""
    column = f"{name}_event"
    silent = empty(frame[column]) & np.isnan(step)
    told = np.zeros(len(frame), dtype=bool)
    told[~silent] = truths(frame[~silent], column)
    return told


def _concluded_events(name: str, steps: dict[str, Array], last: Array) -> npt.NDArray[np.bool_]:
    step = steps[name]
    reached = ~np.isnan(step)
    if reached.all() and len(step):
        # Nothing is empty: were those that end at the very last step reached there, or never?
        limit = np.where(np.isnan(last), np.nanmax([np.nanmax(values) for values in steps.values()]), last)
        at_end = int((step >= limit).sum())
        if at_end > 1 or (at_end and not np.isnan(last).all()):
            raise DataError(
                f"the run table has no column {name}_event, and {at_end} runs have {name} at the last step "
                f"({np.max(limit):,.0f}): give {name}_event, or leave {name} empty where it was not reached."
            )
    return reached


def contradictions(table: pd.DataFrame) -> list[str]:
    """Return what contradicts itself in a table whose events are booleans and whose milestones are floats."""
    complaints: list[str] = []

    def complain(bad: Sequence[bool] | npt.NDArray[np.bool_], what: str, remedy: str) -> None:
        rows = [str(row) for row in table.index[np.asarray(bad)]]
        if rows:
            some = ", ".join(rows[:5]) + (", …" if len(rows) > 5 else "")
            complaints.append(f"{what} in {len(rows)} rows ({some}); {remedy}.")

    columns = {name: table[name].to_numpy() for name in ("t_mem", "t_mem_event", "t_gen", "t_gen_event")}
    for name in ("t_mem", "t_gen"):
        step, event = columns[name], columns[f"{name}_event"]
        hole = np.isnan(step)
        complain(
            hole & event, f"{name}_event is true but {name} is not a step", "give the step at which it was reached"
        )
        complain(
            hole & ~event,
            f"{name} was not reached and its last step is missing",
            "give the last step seen, at which the run is censored, or a column steps that says it",
        )
        complain(step < 0, f"{name} is negative", "give optimizer steps, or leave the cell empty if it was not reached")
    if complaints:
        return complaints
    mem, mem_event, gen, gen_event = columns.values()
    remedy = "a censored milestone stands at the last step the run was seen at"
    complain(~mem_event & (gen > mem), "t_mem was not reached by a step before t_gen's", remedy)
    complain(~gen_event & (mem > gen), "t_gen was not reached by a step before t_mem's", remedy)
    for name in ("t_mem", "t_gen"):
        if f"{name}_lower" in table.columns:
            lower = table[f"{name}_lower"].to_numpy(dtype=float)
            complain(
                columns[f"{name}_event"] & ((lower >= columns[name]) | (lower < 0)) & (columns[name] > 0),
                f"{name}_lower is not a step before {name}",
                "give the last evaluation at which it had not been reached, or leave the cell empty",
            )
    column = last_step_column(table)
    if column is not None:
        last = last_steps(table)
        beyond = f"a milestone lies beyond the run's own last step (column {column})"
        complain((mem > last) | (gen > last), beyond, "one of the two is wrong")
    return complaints
