"""The runs that a map's page carries: the columns of its table, their milestones, and their curves."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.figures import plane
from analysis.figures.base import number, pretty
from analysis.pages.page_axes import field_of, words_of
from analysis.runs.categories import Level, level_rows, level_texts
from analysis.runs.curves import MOST_POINTS, points_each, thinned
from analysis.runs.ruled_out import COLUMNS
from analysis.runs.run_table import Runs

if TYPE_CHECKING:
    from analysis.maps.regime_map import RegimeMap

MEASURES = 6
"""Measures carried beside the learning curves."""
MOST_RUNS = 50_000
"""Runs that a page carries; of more, a random part."""
MOST_COLUMNS = 24
"""Columns of the run table that a page carries beside axes and milestones."""
MOST_CELLS = 400_000
"""Cells of those columns together."""
NO_VALUE = -32768


def kept(rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return which runs of `rows` a page carries: all, or with very many a random part of them, in their order."""
    if len(rows) <= MOST_RUNS:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, MOST_RUNS, replace=False))


def run_columns(fitted: RegimeMap, runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what is known of every run, column by column; those of the table are `shown`, the tip is of the `brief`.

    Columns without `data` follow from the milestones and the rule, on the page.
    """
    ids = runs["run_id"] if "run_id" in runs.columns else pd.Series(runs.index)
    run = {"words": list(ids.astype(str)), **field_of(range(len(ids)), "u2")}
    columns: list[dict[str, Any]] = [{"key": "run", **run}, {"key": "regime", "brief": True}]
    columns += [
        {"key": pretty(one.short), **_words(pd.Series(level_texts(runs[one.name])))} for one in fitted.categories
    ]
    columns += [
        {"key": word, "label": pretty(axis.name), "brief": True, **field_of(runs[axis.name], "f4")}
        for axis, word in zip(fitted.axes, words_of(fitted.axes), strict=True)
    ]
    columns += [{"key": "t_mem", "label": "memorised", "brief": True, "steps": "mem"}]
    columns += [{"key": "t_gen", "label": "generalised", "brief": True, "steps": "gen"}]
    columns += [{"key": "outcome", **_words(runs["outcome"])}]
    own = [{"key": name, **_column(runs[name])} for name in _others(fitted, runs)]
    return [{"label": one["key"], "shown": True, **one} for one in columns] + [
        {"label": one["key"], "shown": one["key"] == "seed", **one} for one in own
    ]


def _others(fitted: RegimeMap, runs: pd.DataFrame) -> list[str]:
    """Return the other columns that are said of a chosen run: what varies, and its seed; with very many runs fewer."""
    own = {axis.name for axis in fitted.axes} | {category.name for category in fitted.categories}
    skip = own | {"run_id", "outcome", "regime", "known", "environment", "reason", "steps", "last_step", *COLUMNS}
    shown = [name for name in map(str, runs.columns) if name not in skip and not name.startswith("t_")]
    varied = [name for name in shown if runs[name].nunique(dropna=False) > 1]
    most = min(MOST_COLUMNS, MOST_CELLS // max(len(runs), 1))
    named = dict.fromkeys(["seed", "steps", "last_step", "reason", *varied])
    return [name for name in named if name in runs.columns and name not in own][:most]


def fates(runs: pd.DataFrame) -> dict[str, Any]:
    """Return which runs have marks of their own, whatever the rule: failed, unstable, forgotten, or none."""
    marks = {"diverged": "failed", "failed": "failed", "unstable": "unstable", "forgotten": "forgotten"}
    return _words(runs["outcome"].astype(str).map(lambda outcome: marks.get(outcome, "")))


def levels_of(fitted: RegimeMap, runs: pd.DataFrame, levels: list[Level]) -> dict[str, Any]:
    """Return the number of each run's level among those of the page."""
    level = np.zeros(len(runs))
    for one, rows in level_rows(runs, fitted.categories).items():
        level[rows] = levels.index(one)
    return field_of(level, "u1")


def run_milestones(checked: Runs) -> dict[str, Any]:
    """Return the steps at which runs memorised and generalised; of those that did not, minus the last step seen.

    Where some are known only between two evaluations, also the first step at which each may have (`mem_from`, …).
    """
    found = {}
    for name in ("mem", "gen"):
        step, event = (checked.table[f"t_{name}{end}"].to_numpy(float) for end in ("", "_event"))
        signed = np.where(event > 0, step, -np.maximum(step, 0.5))
        found[name] = field_of(signed, "f4")
        earliest = np.where(event > 0, checked.earliest(f"t_{name}"), signed)
        if np.any(earliest < signed):
            found[f"{name}_from"] = field_of(earliest, "f4")
    return found


def packed(values: npt.ArrayLike) -> dict[str, Any]:
    """Return an array as base64 of int16 with its scale and offset: three digits in less than three characters."""
    values = np.asarray(values, dtype=np.float64).ravel()
    finite = np.isfinite(values)
    low, high = (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 0.0)
    scale = (high - low) / 65000 or 1.0
    offset = (low + high) / 2
    whole = np.round(np.where(finite, values - offset, 0) / scale)
    q = np.where(finite, whole, NO_VALUE).astype("i2")
    return {**field_of(q, "i2"), "scale": scale, "offset": offset}


def _column(values: pd.Series) -> dict[str, Any]:
    """Return a column as the page reads it: float32 in base64, or words and each run's code among them."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return field_of(values, "f4")
    return _words(values)


def _words(values: pd.Series) -> dict[str, Any]:
    codes, words = pd.factorize(values.map(lambda value: "" if pd.isna(value) else str(value)[:300]))
    return {"words": list(words), **field_of(codes, "u2")}


def run_curves(runs: pd.DataFrame, curves: pd.DataFrame | None) -> dict[str, Any] | None:
    """Return the runs' curves, thinned, one after the other, in units of their axes; None where there are none.

    The axes are the same for all runs: log steps, accuracies from 0 to 1, losses on a log scale, and for a measure the
    range of nearly all its values. With very many runs only every second or third of them keeps its curves.
    """
    if curves is None or not len(curves) or "run_id" not in runs.columns:
        return None
    learning = ["train_accuracy", "val_accuracy", "train_loss", "val_loss"]
    if not {"run_id", "step", *learning} <= set(curves.columns):
        return None
    measures = [c for c in curves.columns if c not in {"run_id", "step", *learning} and curves[c].notna().any()]
    points = points_each(len(runs))
    every = -(-len(runs) * points // MOST_POINTS)
    wanted = set(runs["run_id"].iloc[::every])
    groups = dict(iter(curves[curves["run_id"].isin(wanted)].groupby("run_id", sort=False)))
    parts, start = [], [0]
    for run_id in runs["run_id"]:
        part = groups.get(run_id)
        if part is not None:
            part = part.sort_values("step")
            parts.append(part.iloc[thinned(part["step"].to_numpy(), points)])
        start.append(start[-1] + (len(parts[-1]) if part is not None else 0))
    if not parts:
        return None
    table = pd.concat(parts, ignore_index=True)
    measures = measures[:MEASURES]
    last = max(10.0, float(table["step"].max()))
    axes = {"accuracy": _Axis(0.0, 1.0), "loss": _log_axis(table[["train_loss", "val_loss"]])}
    axes |= {name: _Axis(*_range(table[name].to_numpy(float))) for name in measures}
    return {
        "start": start,
        "columns": {"step": packed(np.log10(table["step"].clip(lower=1)) / np.log10(last))}
        | {
            name: packed(axes[name.rpartition("_")[2] if name in learning else name].unit(table[name].to_numpy(float)))
            for name in [*learning, *measures]
        },
        "steps": {"last": last, **_Axis(1.0, last, log=True, margin=0.0).data()},
        "lines": {
            **{kind: [[f"train_{kind}", "train"], [f"val_{kind}", "val"]] for kind in ("accuracy", "loss")},
            **{name: [[name, "other"]] for name in measures},
        },
        "axes": {name: axis.data() for name, axis in axes.items()},
        "measures": measures,
    }


@dataclass(frozen=True)
class _Axis:
    """An axis that curves are drawn on; a little is left free at its ends."""

    low: float
    high: float
    log: bool = False
    margin: float = 0.03

    def unit(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return where values stand: 0 at the lower end, 1 at the upper, and none beyond."""
        ends = np.array([self.low, self.high])
        with np.errstate(divide="ignore", invalid="ignore"):
            values, (low, high) = (np.log10(values), np.log10(ends)) if self.log else (values, ends)
        inside = (np.clip(values, low, high) - low) / ((high - low) or 1.0)
        return np.asarray(self.margin + (1 - 2 * self.margin) * inside)

    def data(self) -> dict[str, Any]:
        """Return the axis as the page reads it."""
        scale = SimpleNamespace(low=self.low, high=self.high, scale="log" if self.log else "linear")
        ticks = np.array(plane.ticks(scale, 5)[0])
        return {
            "label": "",
            "zero": False,
            "ticks": [
                [number(float(value)), float(place)] for value, place in zip(ticks, self.unit(ticks), strict=True)
            ],
        }


def _log_axis(values: pd.DataFrame) -> _Axis:
    positive = values.to_numpy(float).ravel()
    low, high = _range(np.where(positive > 0, positive, np.nan))
    return _Axis(max(low, 1e-300), max(high, 2e-300), log=True)


def _range(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the range of all values but the outermost few in a thousand; around a single value something."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.1, 1.0
    low, high = (float(end) for end in np.quantile(known, [0.002, 0.998]))
    return (
        (low, high) if low < high else (low - abs(low) / 2 - 0.5 * (low == 0), high + abs(high) / 2 + 0.5 * (low == 0))
    )
