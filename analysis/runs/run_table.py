"""Run tables: read them, check anyone's, and say what each run tells about milestones and regimes."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.runs.axes import Array, Axis, Box, make_axes
from analysis.runs.cells import numbers, plain, truths
from analysis.runs.censoring import CUT_SHORT, contradictions, last_steps, steps_of
from analysis.runs.columns import Table, tidied
from analysis.runs.ruled_out import accuracies, believed_until, ruled_out
from analysis.runs.table_files import read_table
from grokcore.errors import DataError, unknown_name
from grokcore.records.milestones import THRESHOLDS
from grokcore.records.regimes import REGIMES, RegimeRule

FEWEST_RUNS = 8
"""Runs below which no map is drawn: four regimes cannot be told apart by fewer than two runs each."""
MILESTONES = ("t_mem", "t_mem_event", "t_gen", "t_gen_event")
FINE = 1.1
"""Factor between two evaluations up to which a milestone is a value with a rounding, not an interval."""
NEVER = ("diverged",)
"""Outcomes after which nothing can be reached any more: such a run is censored at no step, it never gets there."""
BoolArray = npt.NDArray[np.bool_]


def read_runs(path: str | Path, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return the run table at `path`: a sweep's folder, or a Parquet, CSV or TSV file, packed or not.

    Of a folder it is runs.parquet, or, while the sweep is under way, its records under the default rule. `columns` says
    by which name a column is meant, as {"t_gen": "summary.grokked_at"}.

    Raises `DataError` when there is none or it cannot be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "runs.csv"
    >>> pd.DataFrame({"fraction": [0.5, 0.3], "memorised": [80, 90], "t_gen": [900, None]}).to_csv(path, index=False)
    >>> read_runs(path, {"t_mem": "memorised"}).columns.tolist()
    ['fraction', 't_mem', 't_gen']
    """
    return read_run_table(path, columns).frame


def read_run_table(path: str | Path, columns: Mapping[str, str] | None = None) -> Table:
    """Return what `read_runs` does, with how it was read."""
    path = Path(path)
    if path.is_dir():
        inside = path / "runs.parquet"
        if not inside.is_file() and (path / "records.jsonl").is_file():
            return tidied(_records(path / "records.jsonl"), columns)
        if not inside.is_file():
            raise DataError(f"{path} holds no runs.parquet; has the sweep finished a run? Found: {_listing(path)}.")
        path = inside
    frame, notes = read_table(path)
    try:
        found = tidied(frame, columns)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    return replace(found, notes=(*notes, *found.notes))


def _records(path: Path) -> pd.DataFrame:
    """Return the run table of a sweep under way: one row a finished run; a torn last line is left out."""
    from grokcore.records.run_record import DEFAULT_RATIO, RunRecord

    lines = path.read_bytes().split(b"\n")[:-1]
    records = [RunRecord.from_json(line) for line in lines if line]
    if not records:
        raise DataError(f"{path} holds no finished run yet; wait for the first.")
    return pd.DataFrame([r.row(RegimeRule(budget=r.config.steps, ratio=DEFAULT_RATIO)) for r in records])


def _listing(path: Path) -> str:
    return ", ".join(sorted(entry.name for entry in path.iterdir())[:12]) or "nothing"


def milestone_columns(split: str, threshold: float) -> tuple[str, str]:
    """Return the names of the recorded milestone's step and event columns, as t_val_090 and t_val_090_event."""
    name = f"t_{split}_{round(100 * threshold):03d}"
    return name, f"{name}_event"


def recorded_thresholds(frame: pd.DataFrame) -> tuple[float, ...]:
    """Return the thresholds whose milestones are all in the table; none for a table with t_mem and t_gen only."""
    return tuple(
        threshold
        for threshold in THRESHOLDS
        if all(name in frame.columns for split in ("train", "val") for name in milestone_columns(split, threshold))
    )


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Checked runs: one row each, with milestones at one threshold."""

    table: pd.DataFrame
    """Axes' columns, t_mem, t_mem_event, t_gen, t_gen_event at the threshold, outcome, every other column given, and
    `ruled_out`: until which step a forecast ruled out that a stopped run generalises, 0 where none did, with
    `ruled_out_accuracy`: the accuracy that it was about."""
    axes: tuple[Axis, ...]
    """The map's axes with the runs' ranges."""
    thresholds: tuple[float, ...]
    """Thresholds that can be asked."""
    budget_limit: int
    """The last step any run was seen at."""
    warnings: tuple[str, ...]
    """What a reader of the map must know of the table, in sentences."""
    threshold: float = RegimeRule.threshold
    """Accuracy of t_mem and t_gen."""

    def milestone(self, name: str) -> tuple[Array, BoolArray]:
        """Return steps and events of t_mem or t_gen, read-only; what a diverged run missed has no finite step.

        A run that was stopped because a forecast ruled out that it generalises by a step is censored there, and if it
        had not memorised, so is that, which was ruled out as well: taken as if nothing were known of what is ahead,
        runs that were stopped leave the map unsure wherever there are many of them. At a threshold below the
        forecast's its word does not count (`analysis.runs.ruled_out`).
        """
        if name not in self._milestones:
            event = self.table[f"{name}_event"].to_numpy(dtype=bool, copy=True)
            step = np.fmax(self.table[name].to_numpy(dtype=float), self.believed_until(name))
            step = np.where(self.table["outcome"].isin(NEVER).to_numpy() & ~event, np.inf, step)
            # Models ask many times, and reading a table's columns takes longer than what they do with them.
            step.flags.writeable = event.flags.writeable = False
            self._milestones[name] = step, event
        return self._milestones[name]

    @functools.cached_property
    def _milestones(self) -> dict[str, tuple[Array, BoolArray]]:
        return {}

    def believed_until(self, name: str) -> Array:
        """Return until which step a forecast's word counts that t_mem or t_gen is not reached; 0 where none does."""
        return believed_until(self.table, name, self.threshold)

    def unbelieving(self) -> Runs:
        """Return the same runs, those that were stopped censored at their last steps and nothing more."""
        return replace(self, table=self.table.assign(ruled_out=0.0))

    def lower(self, name: str) -> Array:
        """Return the last evaluations before t_mem or t_gen was reached; NaN where nobody says, or it was not."""
        column, event = f"{name}_lower", self.table[f"{name}_event"].to_numpy(dtype=bool)
        if column not in self.table.columns:
            return np.full(len(event), np.nan)
        return np.where(event, self.table[column].to_numpy(dtype=float), np.nan)

    def earliest(self, name: str) -> Array:
        """Return the first step at which t_mem or t_gen may be: the one after the evaluation before, if that is far."""
        step, lower = self.milestone(name)[0], self.lower(name)
        return np.where(step > FINE * lower, lower + 1, step)

    def at_threshold(self, threshold: float) -> Runs:
        """Return the same runs with t_mem and t_gen at another recorded threshold."""
        table = _named_milestones(self.table, threshold)
        events = {name: truths(table, name) for name in ("t_mem_event", "t_gen_event")}
        return replace(self, table=table.assign(**events), threshold=threshold)

    def rows(self, chosen: npt.NDArray[np.intp]) -> Runs:
        """Return some of the runs, on the same axes."""
        return replace(self, table=self.table.iloc[chosen])


def check_runs(frame: pd.DataFrame, scales: Mapping[str, str], threshold: float, box: Box | None = None) -> Runs:
    """Return the checked runs of a table for axes `scales` at one threshold, in the box of the runs or a larger one.

    Raises `DataError`, naming rows and what to do, for what cannot be used; what can be used but should be known is in
    `Runs.warnings`.
    """
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    if frame.columns.has_duplicates:
        raise DataError(f"columns appear twice: {', '.join(frame.columns[frame.columns.duplicated()].unique())}.")
    frame = _named_milestones(plain(frame), threshold)
    check_columns(frame, MILESTONES)
    if len(frame) < FEWEST_RUNS:
        raise DataError(f"{len(frame)} runs are too few for a map; it takes at least {FEWEST_RUNS}.")
    frame, warnings = _without_copies(frame)
    table = frame.copy()
    for name in ("t_mem", "t_gen"):
        table[f"{name}_event"] = truths(frame, f"{name}_event")
        table[name] = steps_of(frame, name)
        if f"{name}_lower" in frame.columns:
            table[f"{name}_lower"] = steps_of(frame, f"{name}_lower")
    complaints = contradictions(table)
    if complaints:
        raise DataError("\n".join(complaints))
    table["outcome"] = table["outcome"].fillna("").astype(str) if "outcome" in table else ""
    table["ruled_out"] = ruled_out(table)
    table["ruled_out_accuracy"] = np.where(table["ruled_out"] > 0, accuracies(table), np.nan)
    thresholds = recorded_thresholds(frame) or (threshold,)
    if not recorded_thresholds(frame) and threshold != RegimeRule.threshold:
        warnings.append(f"the table does not say at which accuracy its milestones were reached: read as {threshold:g}.")
    warnings += _interval_notes(table)
    axes = make_axes(table, scales, box)
    for axis in axes:
        table[axis.name] = numbers(table, axis.name)
    last = table[["t_mem", "t_gen"]].max(axis=1)
    return Runs(
        table=table.reset_index(drop=True),
        axes=axes,
        thresholds=thresholds,
        budget_limit=int(np.nanmax([*last, *last_steps(table)])),
        warnings=tuple(warnings),
        threshold=threshold,
    )


def _interval_notes(table: pd.DataFrame) -> list[str]:
    """Return in a sentence how many runs say of a milestone only between which evaluations it lies."""
    notes = []
    for name in ("t_mem", "t_gen"):
        if f"{name}_lower" in table.columns:
            lower = table[f"{name}_lower"]
            wide = table[f"{name}_event"] & (table[name] > FINE * lower)
            if wide.any():
                factor = (table[name] / lower.clip(lower=1))[wide].median()
                notes.append(
                    f"{name} is known only between two evaluations, a median factor of {factor:.3g} apart, in "
                    f"{int(wide.sum())} of {len(table)} runs: interval-censored."
                )
    return notes


def check_columns(frame: pd.DataFrame, wanted: Sequence[str]) -> None:
    """Raise `DataError` if a table lacks some of the columns it needs, with those it has and how to name one."""
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        have = ", ".join(map(str, frame.columns[:20])) + (", …" if len(frame.columns) > 20 else "")
        have = have or "nothing"
        raise DataError(
            f"the run table has no column {', '.join(missing)}; "
            f"it needs the axes' columns and {', '.join(MILESTONES)} (on the command line another name is told by "
            f"--column {missing[0]}=NAME). It has: {have}."
        )


def _named_milestones(frame: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Return the table with t_mem and t_gen taken from the recorded milestones at `threshold`, where there are any."""
    recorded = recorded_thresholds(frame)
    if not recorded:
        return frame
    if not any(abs(threshold - known) < 1e-9 for known in recorded):
        raise DataError(
            f"threshold {threshold:g} was not recorded; ask for one of {', '.join(f'{t:g}' for t in recorded)}."
        )
    replaced: dict[str, pd.Series[Any]] = {}
    for name, split in (("t_mem", "train"), ("t_gen", "val")):
        step, event = milestone_columns(split, threshold)
        replaced |= {name: frame[step], f"{name}_event": frame[event]}
        lower = next((column for column in (f"{step}_lower", f"{name}_lower") if column in frame.columns), None)
        if lower is not None:
            told = lower.startswith(step) or name not in frame.columns
            replaced[f"{name}_lower"] = frame[lower] if told else frame[lower].where(frame[step] == frame[name])
    return frame.assign(**replaced)


def _without_copies(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    if "run_id" in frame.columns:
        twice = frame["run_id"].duplicated(keep=False) & frame["run_id"].notna()
        if not twice.any():
            return frame, []
        told = frame[twice].groupby("run_id")[list(MILESTONES)].nunique(dropna=False).max(axis=1)
        if (told > 1).any():
            raise DataError(
                f"run {told.idxmax()} appears more than once with different milestones "
                f"({int((told > 1).sum())} such runs); keep the right one."
            )
        kept = frame[~(frame["run_id"].duplicated() & frame["run_id"].notna())]
        return kept, [f"{len(frame) - len(kept)} duplicate runs (equal run_id) were counted once."]
    copies = int((frame.duplicated() & frame["t_gen_event"].astype(str).str.lower().isin(["true", "1", "1.0"])).sum())
    if copies:
        return frame, [
            f"{copies} runs equal another in every column: counted as repeats; a run_id column would tell copies."
        ]
    return frame, []


def check_budget(runs: Runs, rule: RegimeRule) -> list[str]:
    """Return warnings about `rule.budget` for these runs; raise `DataError` when it is beyond the one they had."""
    step, event = runs.milestone("t_gen")
    open_ended = ~event & np.isfinite(step)
    if not open_ended.any():
        return []
    longest = step[open_ended].max()
    if longest < rule.budget:
        cut = runs.table["outcome"].isin(CUT_SHORT).to_numpy()
        if not cut[open_ended].all():
            raise DataError(
                f"budget {rule.budget:,} is beyond the one these runs had: the longest that did not generalise was "
                f"followed for {longest:,.0f} steps; ask for at most that."
            )
        return [
            f"no run that did not generalise was followed to the budget of {rule.budget:,} steps.",
            *_forecasts_said(runs),
        ]
    short = int((open_ended & (step < rule.budget)).sum())
    said = (
        [f"{short} of {len(step)} runs are censored before the budget: their regime is not certain."] if short else []
    )
    return [*said, *_forecasts_said(runs)]


def _forecasts_said(runs: Runs) -> list[str]:
    """Return in sentences which runs a forecast stopped, and where its word is taken, and where it says nothing."""
    stopped = ~runs.milestone("t_gen")[1] & (runs.table["ruled_out"].to_numpy(dtype=float) > 0)
    believed = runs.believed_until("t_gen") > 0
    said, every = [], len(stopped)
    if believed.any():
        early = int((runs.believed_until("t_mem") > 0).sum())
        said.append(
            f"{int(believed.sum())} of {every} runs were stopped by a forecast, and count as not generalising in "
            f"time; {early} of them had not memorised, and count as not memorising in time either: confusion."
        )
    if (stopped & ~believed).any():
        least = runs.table["ruled_out_accuracy"][stopped & ~believed].min()
        said.append(
            f"{int((stopped & ~believed).sum())} of {every} runs were stopped by a forecast of accuracy ≥ {least:g}, "
            f"which says nothing of ≥ {runs.threshold:g}: censored where they were stopped. Those that went on are "
            f"likelier to get there, so the map may expect too much; not at {least:g} or above, nor without stopping."
        )
    return said


def allowed_regimes(runs: Runs, rule: RegimeRule) -> BoolArray:
    """Return (n, 4): which regimes each run may still belong to under `rule`; one, unless it is censored early."""
    mem, mem_event = runs.milestone("t_mem")
    gen, gen_event = runs.milestone("t_gen")
    budget = rule.budget
    soon_mem, soon_gen = runs.earliest("t_mem"), runs.earliest("t_gen")
    may_confuse = np.where(mem_event, mem > budget, True)
    may_memorise = np.where(mem_event, soon_mem <= budget, mem < budget)
    may_stay = np.where(gen_event, gen > budget, True)
    may_generalise = np.where(gen_event, soon_gen <= budget, gen < budget)
    latest, earliest, last_mem, first_mem = (
        np.where(np.isfinite(step), step, budget) for step in (np.fmin(gen, budget), soon_gen, mem, soon_mem)
    )
    may_be_prompt = np.where(gen_event | mem_event, ~rule.delayed(last_mem, earliest), True)
    may_be_late = np.where(gen_event, rule.delayed(first_mem, latest), True)
    columns = [
        may_confuse,
        may_memorise & may_stay,
        may_memorise & may_generalise & may_be_late,
        may_memorise & may_generalise & may_be_prompt,
    ]
    return np.column_stack(columns).astype(bool)


def regime_names(indices: Sequence[int] | npt.NDArray[np.int64]) -> list[str]:
    """Return the regimes' names at indices into `REGIMES`."""
    return [str(REGIMES[int(index)]) for index in indices]


def known_column(frame: pd.DataFrame, name: str) -> str:
    """Return `name` if the table has it, or raise `DataError` with the nearest name."""
    if name not in frame.columns:
        raise DataError(unknown_name("column", name, [str(column) for column in frame.columns]))
    return name
