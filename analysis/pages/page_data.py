"""What the page of a map carries: the map on a grid, the posterior of the times, the runs and their curves."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from scipy.special import logit, ndtr

from analysis.figures import plane
from analysis.figures.base import REGIME_COLOURS, REGIME_INK, number, pretty
from analysis.maps.grid import MapGrid
from analysis.pages.page_axes import axis_data, field_of, opening, probability_axis, slider_stops, words_of
from analysis.pages.page_runs import fates, kept, levels_of, packed, run_columns, run_curves, run_milestones
from analysis.runs.categories import Level, level_rows
from analysis.runs.sources import Source
from grokcore.records.regimes import REGIMES

if TYPE_CHECKING:
    from analysis.maps.regime_map import RegimeMap

MOST_RELABELLED = 4
"""Levels of categories up to which a page carries the times at every threshold."""
LAYERS = {
    "regimes": "probability of each regime",
    "likeliest": "likeliest regime",
    "epistemic": "where more runs would sharpen this",
    "seeds": "where seeds differ",
    "time": "median step of generalisation",
}
"""What the ground of the map can show."""
BANDS = {90: "url(#hatch)", 50: "rgba(29,34,43,.3)"}
"""How the bands in which a boundary lies with so many per cent are filled."""
RAMP = ((0, 32, 77), (70, 74, 108), (124, 123, 120), (187, 174, 110), (255, 234, 70))
"""Colours of a layer that is one number a point: even in lightness, the same to every colour vision (cividis)."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Which slice a page opens on."""

    x: str | None = None
    """Axis across; the map's first if not said."""
    y: str | None = None
    """Axis up; the map's second if not said."""
    at: Mapping[str, float] = field(default_factory=dict)
    """Values of other axes; the middle of their range if not said."""


def page_data(
    fitted: RegimeMap, source: Source, grids: Mapping[Level, MapGrid], drawn: Drawn, out: Path | None = None
) -> dict[str, Any]:
    """Return everything the page's scripts read, as plain values; the page will stand in the folder `out`.

    `grids` holds the map's values by level of its categories; of a map without categories under the empty level.
    """
    some = next(iter(grids.values()))
    rule = fitted.rule
    # Of many levels the page carries the times at the rule's own threshold only: it is bounded in size.
    thresholds = list(fitted.thresholds) if len(grids) <= MOST_RELABELLED else [rule.threshold]
    at_level = level_rows(fitted.runs, fitted.categories)
    rows = np.sort(np.concatenate([at_level[level] for level in grids]))
    on_page = kept(rows)
    runs, checked = fitted.runs.iloc[on_page], fitted.checked.rows(on_page)
    columns = run_columns(fitted, runs)
    curves = run_curves(runs, source.curves)
    words = words_of(some.axes)
    opened = [opening(axis, drawn.at) for axis in some.axes]
    axes = [
        {**axis_data(*one), "runs": field_of(plane.position(one[0], runs[one[0].name]), "f4")}
        for one in zip(some.axes, words, some.grids, opened, strict=True)
    ]
    state = _opened(fitted, drawn, axes, [float(f"{value:.6g}") for value in opened])
    state |= {
        "level": ", ".join(next(iter(grids))),
        "measure": curves["measures"][0] if curves and curves["measures"] else "",
    }
    return {
        "command": f"grokmap map {shlex.quote(str(source.path if source.path is not None else source.name))}",
        **_places(source, out),
        "regimes": [str(regime) for regime in REGIMES],
        "colours": [REGIME_COLOURS[regime] for regime in REGIMES],
        "inks": [REGIME_INK[regime] for regime in REGIMES],
        "rgb": [[int(REGIME_COLOURS[regime][i : i + 2], 16) for i in (1, 3, 5)] for regime in REGIMES],
        "ramp": _ramp(),
        "bands": [[f"b{share}", float(logit(0.5 + share / 200)), fill] for share, fill in BANDS.items()],
        "phi": packed(ndtr(np.linspace(-6, 6, 12_001))),
        "layers": _layers(fitted),
        "axes": axes,
        "probability": probability_axis(),
        "opened": state,
        "stops": {
            **slider_stops(fitted, thresholds, state),
            **{f"at.{axis['name']}": axis["stops"] for axis in axes},
        },
        "choices": {
            "level": [", ".join(level) for level in grids],
            "x": words,
            "y": words,
            "form": ["gap", "ratio"],
            "layer": list(LAYERS),
            "measure": curves["measures"] if curves else [],
            "sort": [sign + column["key"] for column in columns if column["shown"] for sign in ("", "-")],
            **{name: [True, False] for name in ("bands", "runs", "all")},
        },
        "categories": [pretty(category.short) for category in fitted.categories],
        "levels": [
            _level(fitted.parts[level] if level else fitted, fitted, level, grids[level], thresholds) for level in grids
        ],
        "sampled": f"Of {len(rows):,} runs, {len(runs):,} taken at random are on this page."
        if len(runs) < len(rows)
        else "",
        "runs": {
            "level": levels_of(fitted, runs, list(grids)),
            "columns": columns,
            "fate": fates(runs),
            "milestones": {
                f"{threshold:g}": run_milestones(checked.at_threshold(threshold)) for threshold in thresholds
            },
        },
        "curves": curves,
    }


def _opened(fitted: RegimeMap, drawn: Drawn, axes: list[dict[str, Any]], held: list[float]) -> dict[str, Any]:
    """Return what is chosen when the page opens, by the name of its control; addresses carry what differs from it."""
    from analysis.figures.regime_map import chosen_axes

    rule = fitted.rule
    names = [axis.name for axis in fitted.axes]
    shown = [] if len(names) == 1 else [names.index(axis.name) for axis in chosen_axes(fitted, drawn.x, drawn.y)]
    return {
        "x": axes[shown[0] if shown else 0]["name"],
        "y": axes[shown[1]]["name"] if shown else "",
        **{f"at.{axis['name']}": value for axis, value in zip(axes, held, strict=True)},
        "threshold": rule.threshold,
        "budget": rule.budget,
        "form": "gap" if rule.gap is not None else "ratio",
        "gap": rule.gap if rule.gap is not None else max(1, round(fitted.budget_limit / 100)),
        "ratio": rule.ratio if rule.ratio is not None else 5,
        "layer": "regimes",
        "bands": True,
        "runs": True,
        "all": False,
        "filter": "",
        "sort": "run",
        "run": "",
    }


def _layers(fitted: RegimeMap) -> dict[str, dict[str, Any]]:
    """Return the layers that are one number a point, with the ends of their colours; `own` holds as fitted only."""
    runs, limit = fitted.runs, float(fitted.budget_limit)
    soonest = float(runs.loc[runs["t_gen_event"].astype(bool), "t_gen"].min())
    low = max(1.0, min(limit / 2, soonest) if np.isfinite(soonest) else limit / 2)
    bits = {"low": 0, "high": 1, "ends": ["0 bits", "1 bit or more"], "own": True}
    ends = [f"step {number(low)}", f"step {number(limit)} or later"]
    time = {"low": float(np.log10(low)), "high": float(np.log10(limit)), "ends": ends, "own": False}
    return {"epistemic": bits, "seeds": bits, "time": time}


def _ramp() -> list[list[int]]:
    ends = np.linspace(0, 255, len(RAMP))
    return [[round(float(np.interp(at, ends, channel))) for channel in np.transpose(RAMP)] for at in range(256)]


def _level(one: RegimeMap, fitted: RegimeMap, level: Level, grid: MapGrid, thresholds: list[float]) -> dict[str, Any]:
    """Return the numbers of one level of the categories, and what is said of them."""
    law = "and the critical law " if one.law is not None and one.weights.get("law", 0.0) > 0 else ""
    return {
        "name": ", ".join(level),
        "sides": [shlex.quote(f"{c.short}={text}") for c, text in zip(fitted.categories, level, strict=True)],
        "fitted": f"As fitted: {one.weight_sentence}.",
        "relabelled": "Another rule than the fitted one: the runs are labelled anew, and the ground follows from the "
        f"fitted times {law}alone, without the models of labels. The command below fits the whole map under it.",
        "times": {f"{threshold:g}": _times(one, grid, threshold) for threshold in thresholds},
        "own": _own(one, grid),
    }


def _places(source: Source, out: Path | None) -> dict[str, str | None]:
    """Return, for a sweep's folder, the command that runs it finer, and where its runs are seen from `out`."""
    if source.path is None or not source.spec:
        return {"finer": None, "show": None, "tracker": ""}
    figures = source.path / "figures"
    beside = Path(os.path.relpath(figures, out)) if out is not None else figures
    spec, name = shlex.quote(str(source.path / "spec.toml")), shlex.quote(f"{source.name}-finer")
    finer = f"grokmap sweep {spec} --name {name}"
    return {"finer": finer, "show": quote(beside.as_posix()), "tracker": source.tracker, "served_by": source.served_by}


def _times(fitted: RegimeMap, values: MapGrid, threshold: float) -> dict[str, Any]:
    """Return the posterior of the times at a threshold: t_mem and the delay as mixtures of normals in log10 steps.

    With them the page relabels the map under another rule. `noise` is the standard deviation between seeds, `median`
    log10 of the median run's step of generalising. The delay is that of the times and that of the critical law, by
    their weights in the map.
    """
    own = threshold == fitted.rule.threshold
    table = values.milestones if own else fitted.milestones(values.points, threshold)
    law, share = fitted.law, fitted.weights.get("law", 0.0)
    trust = share / (share + fitted.weights["times"]) if law is not None and share > 0 else 0.0
    mem, delay = (
        [part | {"noise": float(table[f"{name}_noise"].iloc[0])} for part in normals(table, name)]
        for name in ("t_mem", "delay")
    )
    delay = [part | {"weight": _times_share(part["weight"], 1 - trust)} for part in delay]
    if law is not None and trust:
        mean = packed(fitted.law_delay(values.points, threshold))
        delay.append({"weight": trust, "mean": mean, "sd": 0, "noise": law.noise})
    median = packed(np.log10(10 ** table["t_mem_mean"] + 10 ** table["delay_mean"]))
    return {"mem": mem, "delay": delay, "median": median}


def _times_share(weight: Any, share: float) -> Any:
    """Return a weight, a number or a packed field, times a share."""
    if not isinstance(weight, dict):
        return weight * share
    return weight | {"scale": weight["scale"] * share, "offset": weight["offset"] * share}


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
