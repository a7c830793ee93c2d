"""What the page of a map carries: the posterior of the milestones on a grid, the panel, the runs and their curves."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.figures import plane
from analysis.figures.base import REGIME_COLOURS, REGIME_INK, pretty
from analysis.maps.grid import Volume
from analysis.runs.curves import points_each, thinned
from analysis.runs.run_table import milestone_columns, recorded_thresholds
from analysis.runs.sources import Source
from grokcore.records.regimes import REGIMES

if TYPE_CHECKING:
    from analysis.maps.regime_map import RegimeMap

MEASURES = 6
"""Measures carried beside the learning curves."""
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


def payload(fitted: RegimeMap, source: Source, values: Volume, drawn: Drawn) -> dict[str, Any]:
    """Return everything the page's scripts read, as plain values."""
    axes, grids = values.axes, values.grids
    ix, iy = _drawn_indices(fitted, drawn)
    rule = fitted.rule
    return {
        "regimes": [str(regime) for regime in REGIMES],
        "colours": [REGIME_COLOURS[regime] for regime in REGIMES],
        "inks": [REGIME_INK[regime] for regime in REGIMES],
        "source": str(source.path) if source.path is not None else source.name,
        "axes": [
            {"name": a.name, "short": a.short, "label": pretty(a.name), "scale": a.scale, "low": a.low, "high": a.high,
             "zero": bool(a.scale == "log" and a.zero), "n": len(grid)}
            for a, grid in zip(axes, grids, strict=True)
        ],
        "x": ix,
        "y": iy,
        "held": [_held_index(axis, grid, drawn) for axis, grid in zip(axes, grids, strict=True)],
        "rule": {"threshold": rule.threshold, "budget": rule.budget, "gap": rule.gap, "ratio": rule.ratio},
        "thresholds": list(fitted.thresholds),
        "budget_limit": fitted.budget_limit,
        "weights": fitted.weight_sentence,
        "milestones": {
            f"{threshold:g}": {name: packed(column) for name, column in _milestones(fitted, values, threshold).items()}
            for threshold in fitted.thresholds
        },
        "own": _own(fitted, values),
        "panel": _panel(fitted),
        "runs": _runs(fitted),
        "curves": _curves(fitted, source.curves),
    }  # fmt: skip


def _milestones(fitted: RegimeMap, values: Volume, threshold: float) -> pd.DataFrame:
    own = threshold == fitted.rule.threshold
    found = without_jumps(values.milestones if own else fitted.milestones(values.points, threshold))
    return found if fitted.panel.law is None else found.assign(law_delay=fitted.law_delay(values.points, threshold))


def without_jumps(milestones: pd.DataFrame) -> pd.DataFrame:
    """Return the milestones' posterior with jumps taken out of the means, which then interpolate well."""
    for column in [name for name in milestones.columns if "_jump_" in name]:
        time, number = column.split("_jump_")
        beyond = milestones[f"{time}_side_{number}"] > 0
        smooth = milestones[f"{time}_mean"] - milestones[column] * beyond
        milestones = milestones.assign(**{f"{time}_mean": smooth})
    return milestones


def _panel(fitted: RegimeMap) -> dict[str, Any]:
    """Return what the members need to be fitted again, under another rule, in the browser."""
    panel = fitted.panel
    kernels = {name: [process.kernel for process in panel.label_process(name).latent] for name in ("labels", "plain")}
    return {
        "names": list(panel.names),
        "trust": panel.trust,
        "sharpness": panel.sharpness,
        "scale": panel.propagation.scale.tolist(),
        "law_noise": None if panel.law is None else panel.law.noise,
        "processes": {
            name: [
                {
                    "lengths": kernel.lengths.tolist(),
                    "amplitude": kernel.amplitude,
                    "slope": kernel.slope,
                    "constant": kernel.constant,
                    "smooth": kernel.squared_exponential,
                }
                for kernel in some
            ]
            for name, some in kernels.items()
        },
    }


def _drawn_indices(fitted: RegimeMap, drawn: Drawn) -> tuple[int, int]:
    from analysis.figures.regime_map import chosen_axes

    names = [axis.name for axis in fitted.axes]
    if len(names) == 1:
        return 0, -1
    first, second = chosen_axes(fitted, drawn.x, drawn.y)
    return names.index(first.name), names.index(second.name)


def _held_index(axis: Any, grid: npt.NDArray[np.float64], drawn: Drawn) -> float:
    value = drawn.at.get(axis.name, drawn.at.get(axis.short))
    skip = int(axis.scale == "log" and axis.zero)
    if value is None:
        value = plane.value_at(axis, 0.5)
    if skip and value == 0:
        return 0.0
    return skip + float(np.clip(plane.position(axis, value), 0, 1)) * (len(grid) - 1 - skip)


def _own(fitted: RegimeMap, values: Volume) -> dict[str, Any]:
    """Return what holds at the fitted rule only: the mixture's log probabilities, uncertainties, pairs' log-odds."""
    # Logarithms are nearly straight across an edge where probabilities leap, so they interpolate well.
    logs = values.probabilities.clip(lower=1e-5).apply(np.log)
    found = {str(name): packed(column) for name, column in logs.items()}
    found |= {name: packed(values.uncertainty[name]) for name in ("epistemic", "seeds")}
    from scipy.special import logit

    for first, second in values.neighbours:
        share = fitted.share(first, second, values.points)
        found[f"{first}|{second}"] = packed(logit(share.clip(1e-4, 1 - 1e-4)))
    return found


def _runs(fitted: RegimeMap) -> dict[str, Any]:
    runs = fitted.runs
    ids = runs["run_id"].astype(str) if "run_id" in runs.columns else [str(index) for index in runs.index]
    milestones = {}
    for threshold in fitted.thresholds:
        names = ["t_mem", "t_mem_event", "t_gen", "t_gen_event"]
        if recorded_thresholds(runs):
            names = [*milestone_columns("train", threshold), *milestone_columns("val", threshold)]
        columns = dict(zip(("mem", "mem_event", "gen", "gen_event"), names, strict=True))
        milestones[f"{threshold:g}"] = {key: _listed(runs[name]) for key, name in columns.items()}
    own = {axis.name for axis in fitted.axes}
    skip = own | {"run_id", "outcome", "regime", "known", "environment", "reason", "steps", "last_step"}
    shown = [name for name in map(str, runs.columns) if name not in skip and not name.startswith("t_")]
    varied = [name for name in shown if name == "seed" or runs[name].nunique(dropna=False) > 1]
    return {
        "id": list(ids),
        "axes": [_listed(runs[axis.name]) for axis in fitted.axes],
        "outcome": [str(value) for value in runs["outcome"]],
        "milestones": milestones,
        "table": {
            name: _listed(runs[name]) for name in ["steps", "last_step", "reason", *varied[:24]] if name in runs.columns
        },
    }


def _listed(values: pd.Series) -> list[Any]:
    if pd.api.types.is_bool_dtype(values):
        return [bool(value) for value in values]
    if not pd.api.types.is_numeric_dtype(values):
        return ["" if pd.isna(value) else str(value)[:300] for value in values]
    return [None if not np.isfinite(value) else float(f"{value:.6g}") for value in values.astype(float)]


def _curves(fitted: RegimeMap, curves: pd.DataFrame | None) -> dict[str, Any] | None:
    """Return every run's curves, thinned, one after the other; None where there are none."""
    if curves is None or not len(curves) or "run_id" not in fitted.runs.columns:
        return None
    learning = ["train_accuracy", "val_accuracy", "train_loss", "val_loss"]
    if not {"run_id", "step", *learning} <= set(curves.columns):
        return None
    measures = [c for c in curves.columns if c not in {"run_id", "step", *learning} and curves[c].notna().any()]
    kept = points_each(len(fitted.runs))
    groups = dict(iter(curves.groupby("run_id", sort=False)))
    parts, start = [], [0]
    for run_id in fitted.runs["run_id"]:
        part = groups.get(run_id)
        if part is not None:
            part = part.sort_values("step")
            parts.append(part.iloc[thinned(part["step"].to_numpy(), kept)])
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
    steps = base64.b64encode(table["step"].to_numpy().astype("<u4").tobytes()).decode()
    return {"step": steps, "start": start, "columns": columns}
