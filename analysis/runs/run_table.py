"""Run tables: read them, check anyone's, and say what each run tells about milestones and regimes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.runs.axes import Array, Axis, make_axes, numbers
from grokcore.errors import DataError, unknown_name
from grokcore.records.milestones import THRESHOLDS
from grokcore.records.regimes import REGIMES, RegimeRule

FEWEST_RUNS = 8
"""Runs below which no map is drawn: four regimes cannot be told apart by fewer than two runs each."""
MILESTONES = ("t_mem", "t_mem_event", "t_gen", "t_gen_event")
NEVER = ("diverged",)
"""Outcomes after which nothing can be reached any more: such a run is censored at no step, it never gets there."""
CUT_SHORT = ("stopped", "failed", "running")
"""Outcomes of runs that may be censored before the one budget."""
BoolArray = npt.NDArray[np.bool_]


def read_runs(path: str | Path) -> pd.DataFrame:
    """Return the run table at `path`: a sweep's folder, a Parquet file or a CSV file.

    Of a folder it is runs.parquet, or, while the sweep is under way, its records under the default rule.

    Raises `DataError` when there is none or it cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        inside = path / "runs.parquet"
        if not inside.is_file() and (path / "records.jsonl").is_file():
            return _records(path / "records.jsonl")
        if not inside.is_file():
            raise DataError(f"{path} holds no runs.parquet; has the sweep finished a run? Found: {_listing(path)}.")
        path = inside
    if not path.is_file():
        raise DataError(f"{path} does not exist; give a sweep's folder, a .parquet or a .csv file.")
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {".parquet": pd.read_parquet, ".csv": pd.read_csv}
    if path.suffix not in readers:
        raise DataError(f"{path}: {path.suffix or 'no suffix'} is not a run table; give a .parquet or a .csv file.")
    try:
        return readers[path.suffix](path)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path} cannot be read as a run table: {error}") from error


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
    """Axes' columns, t_mem, t_mem_event, t_gen, t_gen_event at the threshold, outcome, and every other column given."""
    axes: tuple[Axis, ...]
    """The map's axes with the runs' ranges."""
    thresholds: tuple[float, ...]
    """Thresholds that can be asked."""
    budget_limit: int
    """The last step any run was seen at."""
    warnings: tuple[str, ...]
    """What a reader of the map must know of the table, in sentences."""

    def milestone(self, name: str) -> tuple[Array, BoolArray]:
        """Return steps and events of t_mem or t_gen; what a diverged run missed is censored at no finite step."""
        step = self.table[name].to_numpy(dtype=float)
        event = self.table[f"{name}_event"].to_numpy(dtype=bool)
        never = self.table["outcome"].isin(NEVER).to_numpy()
        return np.where(never & ~event, np.inf, step), event

    def at_threshold(self, threshold: float) -> Runs:
        """Return the same runs with t_mem and t_gen at another recorded threshold."""
        table = _named_milestones(self.table, threshold)
        events = {name: _events(table, name) for name in ("t_mem_event", "t_gen_event")}
        return replace(self, table=table.assign(**events))

    def rows(self, chosen: npt.NDArray[np.intp]) -> Runs:
        """Return some of the runs, on the same axes."""
        return replace(self, table=self.table.iloc[chosen])


def check_runs(frame: pd.DataFrame, scales: Mapping[str, str], threshold: float) -> Runs:
    """Return the checked runs of a table for axes `scales` at one threshold.

    Raises `DataError`, naming rows and what to do, for what cannot be used; what can be used but should be known is in
    `Runs.warnings`.
    """
    frame = _named_milestones(frame, threshold)
    missing = [name for name in MILESTONES if name not in frame.columns]
    if missing:
        have = ", ".join(map(str, frame.columns[:20]))
        raise DataError(
            f"the run table has no column {', '.join(missing)}; "
            f"it needs the axes' columns and {', '.join(MILESTONES)}. It has: {have}."
        )
    if frame.columns.has_duplicates:
        raise DataError(f"columns appear twice: {', '.join(frame.columns[frame.columns.duplicated()].unique())}.")
    if len(frame) < FEWEST_RUNS:
        raise DataError(f"{len(frame)} runs are too few for a map; it takes at least {FEWEST_RUNS}.")
    frame, warnings = _without_copies(frame)
    table = frame.copy()
    for name in ("t_mem", "t_gen"):
        table[f"{name}_event"] = _events(frame, f"{name}_event")
    complaints = list(_contradictions(table))
    if complaints:
        raise DataError("\n".join(complaints))
    table["outcome"] = table["outcome"].fillna("").astype(str) if "outcome" in table else ""
    thresholds = recorded_thresholds(frame) or (threshold,)
    if not recorded_thresholds(frame) and threshold != RegimeRule.threshold:
        warnings.append(f"the table does not say at which accuracy its milestones were reached: read as {threshold:g}.")
    axes = make_axes(table, scales)
    for axis in axes:
        table[axis.name] = numbers(table, axis.name)
    last = table[["t_mem", "t_gen"]].max(axis=1)
    return Runs(
        table=table.reset_index(drop=True),
        axes=axes,
        thresholds=thresholds,
        budget_limit=int(max(last.max(), _steps(table).max(initial=0.0))),
        warnings=tuple(warnings),
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
    return frame.assign(**replaced)


def _events(frame: pd.DataFrame, name: str) -> BoolArray:
    words = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
    values = frame[name].map(lambda value: words.get(str(value).strip().lower()))
    bad = values.isna()
    if bad.any():
        row = frame.index[int(np.argmax(bad))]
        raise DataError(f"column {name}: {frame[name].loc[row]!r} (row {row}) is neither true nor false.")
    return values.to_numpy(dtype=bool)


def _last_step(table: pd.DataFrame) -> str | None:
    """Return the column of each run's last step: last_step, or steps in a table that has only that."""
    return next((name for name in ("last_step", "steps") if name in table), None)


def _steps(table: pd.DataFrame) -> Array:
    name = _last_step(table)
    if name is None:
        return np.zeros(0)
    return pd.to_numeric(table[name], errors="coerce").dropna().to_numpy(dtype=float)


def _contradictions(table: pd.DataFrame) -> list[str]:
    complaints: list[str] = []

    def complain(bad: pd.Series[bool], what: str, remedy: str) -> None:
        if bad.any():
            rows = ", ".join(str(row) for row in table.index[bad][:5]) + (", …" if bad.sum() > 5 else "")
            complaints.append(f"{what} in {int(bad.sum())} rows ({rows}); {remedy}.")

    for name in ("t_mem", "t_gen"):
        step = pd.to_numeric(table[name], errors="coerce")
        event = table[f"{name}_event"]
        hole = ~np.isfinite(step)
        complain(
            hole & event, f"{name}_event is true but {name} is not a step", "give the step at which it was reached"
        )
        complain(
            hole & ~event,
            f"{name} was not reached and its last step is missing",
            "give the last step seen, at which the run is censored",
        )
        complain(step < 0, f"{name} is negative", "give optimizer steps")
        table[name] = step
    if complaints:
        return complaints
    mem, gen = table["t_mem"], table["t_gen"]
    mem_event, gen_event = table["t_mem_event"], table["t_gen_event"]
    remedy = "a censored milestone stands at the last step the run was seen at"
    complain(~mem_event & (gen > mem), "t_mem was not reached by a step before t_gen's", remedy)
    complain(~gen_event & (mem > gen), "t_gen was not reached by a step before t_mem's", remedy)
    column = _last_step(table)
    if column is not None:
        last = pd.to_numeric(table[column], errors="coerce")
        complain(
            mem.gt(last) | gen.gt(last),
            f"a milestone lies beyond the run's own last step (column {column})",
            "one of the two is wrong",
        )
    return complaints


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
        return [f"no run that did not generalise was followed to the budget of {rule.budget:,} steps."]
    short = int((open_ended & (step < rule.budget)).sum())
    return (
        [f"{short} of {len(step)} runs are censored before the budget: their regime is not certain."] if short else []
    )


def allowed_regimes(runs: Runs, rule: RegimeRule) -> BoolArray:
    """Return (n, 4): which regimes each run may still belong to under `rule`; one, unless it is censored early."""
    mem, mem_event = runs.milestone("t_mem")
    gen, gen_event = runs.milestone("t_gen")
    budget = rule.budget
    may_confuse = np.where(mem_event, mem > budget, True)
    may_memorise = np.where(mem_event, mem <= budget, mem < budget)
    may_stay = np.where(gen_event, gen > budget, True)
    may_generalise = np.where(gen_event, gen <= budget, gen < budget)
    finite_gen, finite_mem = np.where(np.isfinite(gen), gen, budget), np.where(np.isfinite(mem), mem, budget)
    delayed = rule.delayed(finite_mem, finite_gen)
    may_be_prompt = np.where(gen_event | mem_event, ~delayed, True)
    may_be_late = np.where(gen_event, delayed, True)
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
