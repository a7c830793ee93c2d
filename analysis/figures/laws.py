"""Time to generalise as survival analysis sees it: the curve of each third of every axis, with censoring.

Curves are Kaplan and Meier's, or Turnbull's where times are known only between two evaluations.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.figures import plane
from analysis.figures.base import (
    INK,
    MUTED,
    STYLES,
    Style,
    Words,
    drawing,
    furnish,
    log_steps,
    new_figure,
    number,
    pretty,
    row_height,
    wrapped,
)
from analysis.figures.map_panels import levels_drawn
from analysis.statistics.survival import LogRank, Mean, between, kaplan_meier, log_rank, restricted_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.maps.regime_map import RegimeMap

FEWEST = 5
"""Runs below which a third of an axis is not drawn."""
LOOKS: tuple[tuple[str, Any], ...] = (("#9a6a00", (0, (1, 1))), ("#1f6fa8", (0, (5, 1.5))), (INK, "-"))
"""Colour and dashes of the low, middle and high third; they differ in grey by their dashes."""
INTERVALS = (
    " Times known only between two evaluations lie anywhere between them (Turnbull's estimate, the test for intervals)."
)
"""What a caption adds where some times are intervals."""
STOPPED = ", those that a forecast stopped at the step by which it ruled out that they do"
"""What it adds where a forecast stopped some."""


@dataclass(frozen=True, kw_only=True)
class Third:
    """The runs of one third of an axis."""

    label: str
    """The values it spans."""
    runs: int
    """How many runs."""
    curve: pd.DataFrame
    """Its survival curve: step, survival, low, high, at_risk."""
    sloped: bool = False
    """Whether times are known by intervals only: the curve then falls between their ends, and not in steps."""
    mean: Mean
    """Restricted mean of the time to generalise up to the budget."""


@dataclass(frozen=True, kw_only=True)
class AxisSurvival:
    """What one axis does to the time to generalise, all else as it was sampled."""

    axis: str
    """Column of the axis."""
    level: str = ""
    """The level of each category in words; empty where the map has none."""
    thirds: tuple[Third, ...]
    """From low to high; those with too few runs are left out."""
    test: LogRank
    """Log-rank test of the lowest third against the highest."""

    @property
    def title(self) -> str:
        """Return axis and level in words."""
        return ", ".join(filter(None, (pretty(self.axis), self.level)))


@dataclass(frozen=True, kw_only=True)
class Survival:
    """What the figure shows: one panel an axis, at each level of the categories."""

    axes: tuple[AxisSurvival, ...]
    """The map's axes, level by level."""
    horizon: int
    """Steps up to which means are restricted: the rule's budget."""
    caption: str
    """What it is, in words."""


def info(fitted: RegimeMap, at: Mapping[str, Any] | None = None) -> Survival:
    """Gather survival curves of the thirds of each axis of a map, at each level of its categories that `at` leaves."""
    drawn = [(one, one.checked.believed_until("t_gen")) for one in levels_drawn(fitted, at)]
    found = [
        _axis(_seen(one.runs, believed), axis, fitted.rule.budget, _words(one))
        for one, believed in drawn
        for axis in one.axes
    ]
    stopped = any(believed.any() for _, believed in drawn)
    return Survival(
        axes=tuple(one for one in found if len(one.thirds) > 1),
        horizon=fitted.rule.budget,
        caption=(
            f"Share of runs whose validation accuracy had not reached {fitted.rule.threshold:g} by a step, for each "
            "third of an axis (the others vary as sampled); bands: 95 %. Runs that did not generalise count as "
            "censored at their last step"
            + (STOPPED if stopped else "")
            + ". p: log-rank test of the lowest third against the highest."
            + (INTERVALS if any(third.sloped for one in found for third in one.thirds) else "")
        ),
    )


def _seen(runs: pd.DataFrame, believed: npt.NDArray[np.float64]) -> pd.DataFrame:
    """Return the runs that were seen at all, those that a forecast stopped censored where it ruled generalising out.

    Censored where they were stopped, they would be taken to be like the runs that went on, of which more generalise.
    """
    step = runs["t_gen"].to_numpy(dtype=float)
    seen: pd.DataFrame = runs.assign(t_gen=np.fmax(step, believed)).loc[np.isfinite(step)]
    return seen


def _words(one: RegimeMap) -> str:
    return ", ".join(f"{pretty(name)} {text}" for name, text in one.fixed.items())


def _axis(runs: pd.DataFrame, axis: Any, horizon: int, level: str) -> AxisSurvival:
    units = plane.position(axis, runs[axis.name])
    third = np.clip((units * 3).astype(int), 0, 2)
    thirds, groups = [], []
    for index in range(3):
        part = runs[third == index]
        if len(part) < FEWEST:
            continue
        ends = (plane.value_at(axis, index / 3), plane.value_at(axis, (index + 1) / 3))
        step, event = part["t_gen"].to_numpy(dtype=float), part["t_gen_event"].to_numpy(dtype=bool)
        lower = part["t_gen_lower"].to_numpy(dtype=float) if "t_gen_lower" in part else np.full(len(part), np.nan)
        thirds.append(
            Third(
                label=f"{number(ends[0])} – {number(ends[1])}",
                runs=len(part),
                curve=kaplan_meier(step, event, lower),
                mean=restricted_mean(step, event, min(horizon, float(step.max())), lower),
                sloped=between(step, event, lower),
            )
        )
        groups.append((step, event, lower))
    test = LogRank(0.0, 1.0)
    if len(groups) > 1:
        (low, low_event, low_before), (high, high_event, high_before) = groups[0], groups[-1]
        test = log_rank(low, low_event, high, high_event, (low_before, high_before))
    return AxisSurvival(axis=axis.name, level=level, thirds=tuple(thirds), test=test)


def p_words(p: float) -> str:
    """Return a p-value as it is written: two digits, or that it is below a ten-thousandth."""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"


def draw(survival: Survival, style: Style = STYLES["screen"]) -> Figure:
    """Draw one panel per axis, a row for each level of the categories, with steps on a logarithmic scale."""
    rows = [list(row) for _, row in itertools.groupby(survival.axes, key=lambda one: one.level)]
    if style.stacked:
        abreast = style.abreast(len(survival.axes))
        rows = [list(survival.axes[begin : begin + abreast]) for begin in range(0, len(survival.axes), abreast)]
    n = max(len(row) for row in rows)
    narrow = style.width < 5
    with drawing(style):
        width = style.wide if n > 1 else style.width
        height = (0.75 if narrow else 0.85) * width / (1.6 if style.stacked else max(n, 1.6))
        height = row_height(height, len(rows), survival.caption, width, style)
        figure, panels = new_figure((width, len(rows) * height), nrows=len(rows), ncols=n, squeeze=False)
        for number_of_row, (row, targets) in enumerate(zip(rows, panels, strict=True)):
            for target in targets[len(row) :]:
                target.set_visible(False)
            for index, (axis, target) in enumerate(zip(row, targets, strict=False)):
                _panel(target, axis, survival.horizon, width / n - 0.4, style)
                if number_of_row < len(rows) - 1:
                    target.set_xlabel("")
                if index == 0:
                    target.set_ylabel("not yet generalised")
                else:
                    target.yaxis.set_tick_params(labelleft=False)
        furnish(figure, Words(caption=survival.caption), style)
    return figure


def _panel(axes: Axes, what: AxisSurvival, horizon: int, inches: float, style: Style) -> None:
    looks = LOOKS if len(what.thirds) == 3 else (LOOKS[0], LOOKS[2])
    first = min(float(third.curve["step"].iloc[1]) for third in what.thirds)
    for third, (colour, dashes) in zip(what.thirds, looks, strict=True):
        step = np.append(np.maximum(third.curve["step"], 1.0), horizon)
        share, low, high = (np.append(third.curve[c], third.curve[c].iloc[-1]) for c in ("survival", "low", "high"))
        axes.fill_between(step, low, high, step=None if third.sloped else "post", color=colour, alpha=0.14, linewidth=0)
        drawn = axes.plot if third.sloped else partial(axes.step, where="post")
        drawn(step, share, color=colour, linestyle=dashes, label=f"{third.label} ({third.runs})")
    axes.set_xscale("log")
    axes.set_xlim(max(1.0, first / 1.5), horizon)
    axes.set_ylim(0, 1.02)
    log_steps(axes.xaxis)
    axes.set_xlabel("optimizer step")
    title = f"{what.title}, {p_words(what.test.p_value)}"
    axes.set_title(wrapped(title, inches, style), fontsize=style.font, fontweight="normal")
    words = {"title": "range (runs)", "title_fontsize": style.font * 0.8, "fontsize": style.font * 0.8}
    legend = axes.legend(loc="lower left", handlelength=2.2, **words)
    legend.get_title().set_color(MUTED)
