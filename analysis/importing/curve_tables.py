"""From curves to runs: milestones by our thresholds out of a long table of anyone's accuracies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.runs.cells import Array, as_numbers, empty, plain, shown, typed
from analysis.runs.censoring import steps_of
from analysis.runs.run_table import FINE, milestone_columns
from grokcore.errors import DataError
from grokcore.records.milestones import THRESHOLDS, evaluated_before, first_passage
from grokcore.records.regimes import RegimeRule

_SPLITS = {"train": "train|training", "val": "val|valid|validation|test|eval"}
SPELLINGS = {
    "run_id": r"run_id|run|run_name|trial_id|trial|experiment|name|id",
    "step": r"step|_step|global_step|steps|iteration|iter|trainer_global_step",
    **{f"{split}_accuracy": rf"({words})_(acc|accuracy)|(acc|accuracy)_({words})" for split, words in _SPLITS.items()},
}
"""What a column is called, in small letters with underscores, where it is what one of ours is."""
RULE_THRESHOLD = RegimeRule.threshold
"""Accuracy at which t_mem and t_gen stand."""
_PAIR = re.compile(r"([A-Za-z][\w.]*)=([^,/\\;]+)")
"""A setting in the name of a run."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A run table made of something else."""

    frame: pd.DataFrame
    """One row a run: run_id, settings, milestones at every threshold, last_step."""
    notes: tuple[str, ...]
    """What was understood, left out, or should be known of it, in sentences."""


def left_out(lost: int) -> list[str]:
    """Return how many runs had no accuracies and were left out, as the notes of an import; none of none."""
    return [f"{lost} run{'s' if lost > 1 else ''} without accuracies left out."] if lost else []


def is_accuracy(name: str) -> bool:
    """Say whether a column or metric is called like the accuracy of training or of validation."""
    return any(re.fullmatch(SPELLINGS[f"{split}_accuracy"], _plain(name)) for split in _SPLITS)


def _plain(name: str) -> str:
    return re.sub(r"[\s./-]+", "_", name.lower())


def named_curves(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return a table of curves with our names for run, step and accuracies, and in sentences what was taken for what.

    Raises `DataError` where a column is missing, or two could be meant.
    """
    renamed: dict[str, str] = {}
    notes: list[str] = []
    for ours, pattern in SPELLINGS.items():
        if ours in frame.columns:
            continue
        found = [name for name in frame.columns if re.fullmatch(pattern, _plain(name))]
        if ours == "run_id" and len(found) > 1:
            found = found[:1]
        if not found and ours != "run_id":
            have = ", ".join(map(str, frame.columns[:20]))
            raise DataError(f"no column is {ours}; name it, as --column {ours}=NAME. There are: {have}.")
        if len(found) > 1:
            raise DataError(f"{' or '.join(found)} could be {ours}; say which, as --column {ours}={found[0]}.")
        renamed |= {name: ours for name in found}
    if renamed:
        notes.append(f"Read as curves: {', '.join(f'{name} is {ours}' for name, ours in renamed.items())}.")
    return frame.rename(columns=renamed), notes


def checked_curves(frame: pd.DataFrame, one: str = "run") -> tuple[pd.DataFrame, list[str]]:
    """Return `named_curves` with steps, accuracies from 0 to 1 and a run_id, `one` where there is no such column.

    Raises `DataError` for accuracies that are none, and where no row has a step.
    """
    curves, notes = named_curves(frame)
    if "run_id" not in curves.columns:
        curves = curves.assign(run_id=one)
    curves = curves.assign(run_id=curves["run_id"].astype(str), step=steps_of(curves, "step"))
    curves = curves[curves["step"].notna()]
    if not len(curves):
        raise DataError("the curves have no rows with a step.")
    for name in ("train_accuracy", "val_accuracy"):
        values, note = _accuracy(curves, name)
        curves, notes = curves.assign(**{name: values}), [*notes, *note]
    return curves, notes


def runs_of_curves(curves: pd.DataFrame, settings: pd.DataFrame | None = None) -> Imported:
    """Return the run table of a long table of curves: one row a run, milestones at every recorded threshold.

    `curves` has step, train_accuracy and val_accuracy, under these or usual names, run_id unless it is one run, and a
    run's settings as columns that do not change within a run; `settings`, by run_id, adds others. A milestone is the
    first evaluated step whose accuracy is at least the threshold, as in our own runs, beside it (`t_gen_lower`, …) the
    evaluation before; else it is censored at the run's last. Raises `DataError` for accuracies that are none and steps
    that go back.
    """
    curves, notes = checked_curves(curves)
    curves = _with_pairs(curves)
    constant = _settings(curves)
    rows = [
        {"run_id": run_id, **{name: rows[name].iloc[0] for name in constant}, **_milestones(run_id, rows)}
        for run_id, rows in curves.groupby("run_id", sort=False)
    ]
    frame = _alike(pd.DataFrame(rows))
    if settings is not None:
        frame = _joined(frame, settings)
    return Imported(frame=frame, notes=(*notes, *_doubts(frame, curves)))


def pairs_in(name: str) -> dict[str, str]:
    """Return the settings that a run's name says.

    >>> pairs_in("lr=0.1,wd=1")
    {'lr': '0.1', 'wd': '1'}
    """
    return dict(_PAIR.findall(name))


def _with_pairs(curves: pd.DataFrame) -> pd.DataFrame:
    """Return curves with the settings that their runs' names say as columns, beside those that they have."""
    found = {name: pairs_in(name) for name in curves["run_id"].unique()}
    fresh = dict.fromkeys(key for pairs in found.values() for key in pairs if key not in curves.columns)
    values: dict[str, Any] = {key: [found[name].get(key) for name in curves["run_id"]] for key in fresh}
    return curves.assign(**values)


def _alike(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose columns hold one kind of value each, so that every format can keep them."""
    frame = typed(plain(frame))
    mixed = [str(name) for name in frame if frame[name].dtype == object and len(set(map(type, frame[name]))) > 1]
    return frame.assign(**{name: frame[name].map(lambda value: "" if pd.isna(value) else str(value)) for name in mixed})


def _accuracy(curves: pd.DataFrame, name: str) -> tuple[Array, list[str]]:
    """Return a column of accuracies from 0 to 1, NaN where there is none, and a note if they were percents."""
    values = as_numbers(curves[name])
    top = np.nanmax(values, initial=0.0)
    percent = 1.5 < top <= 100.0
    values = values / 100.0 if percent else values
    wrong = (np.isnan(values) & ~empty(curves[name])) | (values < 0) | (values > 1 + 1e-6)
    if wrong.any():
        place = int(np.argmax(wrong))
        raise DataError(
            f"column {name}: {shown(curves[name].iloc[place])} (row {curves.index[place]}) is no accuracy from 0 to 1; "
            f"if another column holds them, say --column {name}=NAME."
        )
    if np.isnan(values).all():
        raise DataError(f"column {name} is empty; if another column holds the accuracies, say --column {name}=NAME.")
    return values, [f"{name} is read as percents."] if percent else []


def _settings(curves: pd.DataFrame) -> list[str]:
    """Return the columns that do not change within any run."""
    others = [name for name in curves.columns if name not in SPELLINGS]
    texts = {name: curves[name].map(str) for name in others}
    return [name for name, text in texts.items() if (text.groupby(curves["run_id"]).nunique() <= 1).all()]


def _milestones(run_id: Any, rows: pd.DataFrame) -> dict[str, Any]:
    """Return a run's milestones at every threshold, each with the evaluation before it; others are censored.

    They are censored at the last step that both curves have.
    """
    steps = rows["step"].to_numpy(dtype=np.int64)
    found: dict[str, tuple[int, bool, int]] = {}
    ends = []
    for split, name in (("train", "t_mem"), ("val", "t_gen")):
        values = rows[f"{split}_accuracy"].to_numpy(dtype=float)
        known = np.isfinite(values)
        if not known.any():
            raise DataError(f"run {run_id} has no {split}_accuracy at any step; leave the run out, or give its curve.")
        at, accuracies = _forwards(str(run_id), rows.index[known], steps[known], values[known])
        ends.append(int(at[-1]))
        for threshold in THRESHOLDS:
            milestone = first_passage(at, accuracies, threshold)
            for column in [milestone_columns(split, threshold)[0], *([name] if threshold == RULE_THRESHOLD else [])]:
                found[column] = milestone.step, milestone.event, evaluated_before(at, milestone.step)
    last = max(min(ends), *(step for step, event, _ in found.values() if event), 0)
    row: dict[str, Any] = {"last_step": last}
    for name, (step, event, before) in found.items():
        row |= {name: step if event else last, f"{name}_event": event, f"{name}_lower": before if event else np.nan}
    return row


def _forwards(
    run_id: str, rows: pd.Index, steps: npt.NDArray[np.int64], values: Array
) -> tuple[npt.NDArray[np.int64], Array]:
    """Return a curve whose steps increase, equal rows once; raises `DataError` where steps go back or differ."""
    change = np.diff(steps)
    again = np.r_[False, (change == 0) & (np.diff(values) == 0)]
    bad = np.r_[False, (change < 0) | ((change == 0) & (np.diff(values) != 0))]
    if bad.any():
        place = int(np.argmax(bad))
        raise DataError(
            f"run {run_id}: step {steps[place]:,} (row {rows[place]}) comes after step {steps[place - 1]:,}; two runs "
            "of one run_id, or one that was started again? Give each its own run_id, or leave out what was repeated."
        )
    return steps[~again], values[~again]


def _joined(frame: pd.DataFrame, settings: pd.DataFrame) -> pd.DataFrame:
    if "run_id" not in settings.columns:
        raise DataError("the table of settings has no column run_id; name it, as --column run_id=NAME.")
    settings = settings.assign(run_id=settings["run_id"].astype(str))
    if settings["run_id"].duplicated().any():
        twice = settings["run_id"][settings["run_id"].duplicated()].iloc[0]
        raise DataError(f"the table of settings has run {twice} twice; keep the right row.")
    lost = sorted(set(frame["run_id"]) - set(settings["run_id"]))
    if lost:
        raise DataError(f"the table of settings lacks {len(lost)} runs that have curves, as {lost[0]}; add their rows.")
    fresh = [name for name in settings.columns if name == "run_id" or name not in frame.columns]
    return frame.merge(settings[fresh], on="run_id", how="left")


def _doubts(frame: pd.DataFrame, curves: pd.DataFrame) -> list[str]:
    """Return what the reader of a map of these runs must know, in sentences."""
    notes = []
    for split, name in (("train", "t_mem"), ("val", "t_gen")):
        if not frame[f"{name}_event"].any():
            top = float(curves[f"{split}_accuracy"].max())
            notes.append(
                f"No run's {split}_accuracy reaches {RULE_THRESHOLD:g} (the highest is {top:.2g}): "
                f"is it the right column? Else train longer, or draw at --threshold 0.5."
            )
    open_ended = frame.loc[~frame["t_gen_event"], "last_step"]
    if open_ended.nunique() > 1:
        notes.append(
            f"Runs that did not generalise were followed for {open_ended.min():,} to {open_ended.max():,} steps: draw "
            f"the map with --budget {open_ended.min()}, or the shorter ones stay uncertain."
        )
    reached = frame[frame["t_gen_event"]]
    gap = _gap(curves[curves["val_accuracy"].notna()], reached)
    if gap > FINE:
        notes.append(
            f"Accuracy was evaluated up to a factor of {gap:.3g} apart before it rose: t_gen lies between t_gen_lower, "
            "the evaluation before, and t_gen, and models take it so."
        )
    return notes


def _gap(curves: pd.DataFrame, reached: pd.DataFrame) -> float:
    """Return the largest factor between a run's t_gen and the evaluation before it."""
    at: Mapping[Any, int] = dict(zip(reached["run_id"], reached["t_gen"], strict=True))
    before = curves[curves["step"] < curves["run_id"].map(at)]
    last = before.groupby("run_id")["step"].max()
    factors = [at[run_id] / step for run_id, step in last.items() if step > 0]
    return float(max(factors, default=1.0))
