"""What the page of a map carries: the map on a grid, the posterior of the times, the runs and their curves."""

from __future__ import annotations

import base64
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logit, ndtr

from analysis.figures import plane
from analysis.figures.base import REGIME_COLOURS, REGIME_INK, pretty
from analysis.maps.grid import MapGrid
from analysis.runs.axes import Axis
from analysis.runs.categories import Level, level_rows, level_texts
from analysis.runs.curves import MOST_POINTS, points_each, thinned
from analysis.runs.run_table import milestone_columns, recorded_thresholds
from analysis.runs.sources import Source
from grokcore.records.regimes import REGIMES

if TYPE_CHECKING:
    from analysis.maps.regime_map import RegimeMap

MEASURES = 6
"""Measures carried beside the learning curves."""
MOST_RUNS = 50_000
"""Runs that a page carries; of more, a random part."""
MOST_COLUMNS = 24
"""Columns of the run table that a page carries beside axes and milestones."""
MOST_RELABELLED = 4
"""Levels of categories up to which a page carries the times at every threshold."""
MOST_CELLS = 400_000
"""Cells of those columns together."""
NO_VALUE = -32768


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Which slice a page opens on."""

    x: str | None = None
    """Axis across; the map's first if not said."""
    y: str | None = None
    """Axis up; the map's second if not said."""
    at: Mapping[str, float] = field(default_factory=dict)
    """Values of other axes; the middle of their range if not said."""


def packed(values: npt.ArrayLike) -> dict[str, Any]:
    """Return an array as base64 of int16 with its scale and offset: three digits in less than three characters."""
    values = np.asarray(values, dtype=np.float64).ravel()
    finite = np.isfinite(values)
    low, high = (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 0.0)
    scale = (high - low) / 65000 or 1.0
    offset = (low + high) / 2
    whole = np.round(np.where(finite, values - offset, 0) / scale)
    q = np.where(finite, whole, NO_VALUE).astype("<i2")
    return {"data": base64.b64encode(q.tobytes()).decode(), "scale": scale, "offset": offset}


def page_data(
    fitted: RegimeMap, source: Source, grids: Mapping[Level, MapGrid], drawn: Drawn, out: Path | None = None
) -> dict[str, Any]:
    """Return everything the page's scripts read, as plain values; the page will stand in the folder `out`.

    `grids` holds the map's values by level of its categories; of a map without categories under the empty level.
    """
    some = next(iter(grids.values()))
    ix, iy = _drawn_indices(fitted, drawn)
    rule = fitted.rule
    # Of many levels the page carries the times at the rule's own threshold only: it is bounded in size.
    thresholds = list(fitted.thresholds) if len(grids) <= MOST_RELABELLED else [rule.threshold]
    at_level = level_rows(fitted.runs, fitted.categories)
    rows = np.sort(np.concatenate([at_level[level] for level in grids]))
    runs = fitted.runs.iloc[_kept(rows)]
    sampled = f"Of {len(rows):,} runs, {len(runs):,} taken at random are on this page."
    return {
        "name": source.name,
        "source": shlex.quote(str(source.path if source.path is not None else source.name)),
        **_places(source, out),
        "regimes": [str(regime) for regime in REGIMES],
        "colours": [REGIME_COLOURS[regime] for regime in REGIMES],
        "inks": [REGIME_INK[regime] for regime in REGIMES],
        "axes": [_axis(axis, grid) for axis, grid in zip(some.axes, some.grids, strict=True)],
        "x": ix,
        "y": iy,
        "held": [_held_index(axis, grid, drawn) for axis, grid in zip(some.axes, some.grids, strict=True)],
        "rule": {"threshold": rule.threshold, "budget": rule.budget, "gap": rule.gap, "ratio": rule.ratio},
        "thresholds": thresholds,
        "budget_limit": fitted.budget_limit,
        "time_range": _time_range(fitted),
        "categories": [pretty(category.short) for category in fitted.categories],
        "levels": [
            {
                "name": ", ".join(level),
                "words": [shlex.quote(f"{c.short}={text}") for c, text in zip(fitted.categories, level, strict=True)],
                "weights": one.weight_sentence,
                "times": {f"{threshold:g}": _times(one, grids[level], threshold) for threshold in thresholds},
                "own": _own(one, grids[level]),
            }
            for level, one in ((level, fitted.parts[level] if level else fitted) for level in grids)
        ],
        "sampled": sampled if len(runs) < len(rows) else "",
        "runs": _runs(fitted, runs, list(grids), thresholds),
        "curves": _curves(runs, source.curves),
    }


def _kept(rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return which runs of `rows` a page carries: all, or with very many a random part of them, in their order."""
    if len(rows) <= MOST_RUNS:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, MOST_RUNS, replace=False))


def _places(source: Source, out: Path | None) -> dict[str, str | None]:
    """Return, for a sweep's folder, where its specification is and where the pages of its runs are seen from `out`."""
    if source.path is None or not source.spec:
        return {"spec": None, "show": None}
    figures = source.path / "figures"
    beside = Path(os.path.relpath(figures, out)) if out is not None else figures
    return {"spec": shlex.quote(str(source.path / "spec.toml")), "show": quote(beside.as_posix())}


def _axis(axis: Axis, grid: npt.NDArray[np.float64]) -> dict[str, Any]:
    major, _ = plane.ticks(axis, 6)
    return {
        "name": axis.name,
        "short": axis.short,
        "label": pretty(axis.name),
        "scale": axis.scale,
        "low": axis.low,
        "high": axis.high,
        "zero": bool(axis.scale == "log" and axis.zero),
        "values": grid.tolist(),
        "stops": [_index(axis, grid, value) for value in axis.levels],
        "ticks": [float(value) for value in major],
    }


def _time_range(fitted: RegimeMap) -> list[float]:
    """Return the steps between which the median time is coloured: the soonest run to generalise, the longest budget."""
    runs = fitted.runs
    soonest = runs.loc[runs["t_gen_event"].astype(bool), "t_gen"].min()
    half = fitted.budget_limit / 2
    return [max(1.0, min(half, float(soonest))) if np.isfinite(soonest) else max(1.0, half), float(fitted.budget_limit)]


def _times(fitted: RegimeMap, values: MapGrid, threshold: float) -> dict[str, Any]:
    """Return the posterior of the times at a threshold: t_mem and the delay as mixtures of normals in log10 steps.

    With them the page relabels the map under another rule. `median` is log10 of the median run's step of generalising.
    """
    own = threshold == fitted.rule.threshold
    table = values.milestones if own else fitted.milestones(values.points, threshold)
    found: dict[str, Any] = {
        name: {"noise": float(table[f"{column}_noise"].iloc[0]), "parts": normals(table, column)}
        for name, column in (("mem", "t_mem"), ("delay", "delay"))
    }
    found["median"] = packed(np.log10(10 ** table["t_mem_mean"] + 10 ** table["delay_mean"]))
    law, share = fitted.law, fitted.weights.get("law", 0.0)
    if law is not None and share > 0:
        delay = {"weight": 1, "mean": packed(fitted.law_delay(values.points, threshold)), "sd": 0}
        weight = share / (share + fitted.weights["times"])
        found["law"] = {"weight": weight, "noise": law.noise, "parts": [delay]}
    return found


def normals(milestones: pd.DataFrame, time: str) -> list[dict[str, Any]]:
    """Return the normals that a time's median run is a mixture of: one on each side of its jumps."""
    jumps = [name for name in milestones.columns if name.startswith(f"{time}_jump_")]
    sides = [milestones[name.replace("jump", "side")] for name in jumps]
    deviations = [milestones[f"{name.replace('jump', 'side')}_sd"] for name in jumps]
    mean = milestones[f"{time}_mean"]
    for name, side in zip(jumps, sides, strict=True):
        mean = mean - milestones[name] * (side > 0)
    parts = [(np.ones(len(mean)), mean.to_numpy())]
    for name, side, deviation in zip(jumps, sides, deviations, strict=True):
        beyond = ndtr((side / np.maximum(deviation, 1e-9)).to_numpy())
        height = milestones[name].to_numpy()
        parts = [part for w, m in parts for part in ((w * (1 - beyond), m), (w * beyond, m + height))]
    sd = packed(milestones[f"{time}_sd"])
    return [{"weight": packed(w) if jumps else 1, "mean": packed(m), "sd": sd} for w, m in parts]


def _drawn_indices(fitted: RegimeMap, drawn: Drawn) -> tuple[int, int]:
    from analysis.figures.regime_map import chosen_axes

    names = [axis.name for axis in fitted.axes]
    if len(names) == 1:
        return 0, -1
    first, second = chosen_axes(fitted, drawn.x, drawn.y)
    return names.index(first.name), names.index(second.name)


def _held_index(axis: Axis, grid: npt.NDArray[np.float64], drawn: Drawn) -> float:
    """Return where the page opens on an axis: where it was asked to, or in the middle, of few values the nearest."""
    value = drawn.at.get(axis.name, drawn.at.get(axis.short))
    if value is None:
        middle = plane.value_at(axis, 0.5)
        value = min(axis.levels, key=lambda level: abs(float(plane.position(axis, level)) - 0.5), default=middle)
    return _index(axis, grid, value)


def _index(axis: Axis, grid: npt.NDArray[np.float64], value: float) -> float:
    """Return where a value stands in an axis's grid, between two indices if it is between two of its values."""
    skip = int(axis.scale == "log" and axis.zero)
    if skip and value == 0:
        return 0.0
    place = skip + float(np.clip(plane.position(axis, value), 0, 1)) * (len(grid) - 1 - skip)
    return round(place, 6)


def _own(fitted: RegimeMap, values: MapGrid) -> dict[str, Any]:
    """Return what holds at the fitted rule only: the mixture's log probabilities, uncertainties, pairs' log-odds."""
    # Logarithms are nearly straight across an edge where probabilities leap, so they interpolate well.
    logs = values.probabilities.clip(lower=1e-5).apply(np.log)
    found = {str(name): packed(column) for name, column in logs.items()}
    found |= {name: packed(values.uncertainty[name]) for name in ("epistemic", "seeds")}
    for first, second in values.neighbours:
        share = fitted.share(first, second, values.points)
        found[f"{first}|{second}"] = packed(logit(share.clip(1e-4, 1 - 1e-4)))
    return found


def _runs(fitted: RegimeMap, runs: pd.DataFrame, levels: list[Level], thresholds: list[float]) -> dict[str, Any]:
    ids = runs["run_id"].astype(str) if "run_id" in runs.columns else [str(index) for index in runs.index]
    milestones = {}
    for threshold in thresholds:
        names = ["t_mem", "t_mem_event", "t_gen", "t_gen_event"]
        if recorded_thresholds(runs):
            names = [*milestone_columns("train", threshold), *milestone_columns("val", threshold)]
        columns = dict(zip(("mem", "mem_event", "gen", "gen_event"), names, strict=True))
        milestones[f"{threshold:g}"] = {
            key: _base64(runs[name].astype(bool), "u1") if key.endswith("event") else _base64(runs[name], "<f4")
            for key, name in columns.items()
        }
    level = np.zeros(len(runs))
    for one, rows in level_rows(runs, fitted.categories).items():
        level[rows] = levels.index(one)
    return {
        "id": list(ids),
        "level": _base64(level, "u1"),
        "categories": [_column(level_texts(runs[category.name])) for category in fitted.categories],
        "axes": [_base64(runs[axis.name], "<f4") for axis in fitted.axes],
        "outcome": _column(runs["outcome"]),
        "milestones": milestones,
        "table": {name: _column(runs[name]) for name in _shown(fitted, runs)},
    }


def _shown(fitted: RegimeMap, runs: pd.DataFrame) -> list[str]:
    """Return the columns that are said of a chosen run: what varies, and its seed; with very many runs fewer."""
    own = {axis.name for axis in fitted.axes} | {category.name for category in fitted.categories}
    skip = own | {"run_id", "outcome", "regime", "known", "environment", "reason", "steps", "last_step"}
    shown = [name for name in map(str, runs.columns) if name not in skip and not name.startswith("t_")]
    varied = [name for name in shown if name == "seed" or runs[name].nunique(dropna=False) > 1]
    most = min(MOST_COLUMNS, MOST_CELLS // max(len(runs), 1))
    return [name for name in ["seed", "steps", "last_step", "reason", *varied] if name in runs.columns][:most]


def _base64(values: npt.ArrayLike, kind: str) -> str:
    return base64.b64encode(np.asarray(values).astype(kind).tobytes()).decode()


def _column(values: pd.Series) -> dict[str, Any] | str:
    """Return a column as the page reads it: float32 in base64, or words and each run's code among them."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return _base64(values, "<f4")
    codes, words = pd.factorize(values.map(lambda value: "" if pd.isna(value) else str(value)[:300]))
    return {"words": list(words), "codes": _base64(codes, "<u2")}


def _curves(runs: pd.DataFrame, curves: pd.DataFrame | None) -> dict[str, Any] | None:
    """Return the runs' curves, thinned, one after the other; None where there are none.

    With very many runs only every second or third of them keeps its curves.
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
    columns = {}
    for name in [*learning, *measures[:MEASURES]]:
        log = name.endswith("_loss")
        values = table[name].to_numpy(dtype=float)
        with np.errstate(divide="ignore", invalid="ignore"):
            columns[name] = packed(np.log10(values) if log else values) | {"log": log}
    return {"step": _base64(table["step"], "<u4"), "start": start, "columns": columns}
