"""A map over one axis: the regimes' probabilities stacked, every run a point on the rim of its regime.

Each level of a category has a column of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.figures import crowd, plane
from analysis.figures.base import INK, REGIME_COLOURS, STYLES, Style, Words, drawing, furnish, new_figure, pretty
from analysis.figures.marks import MARKS, legend, mark_of, marks_drawn, regimes_drawn
from analysis.figures.regime_map import levels_drawn, map_caption
from grokcore.records.regimes import REGIMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.maps.regime_map import RegimeMap
    from analysis.runs.axes import Axis


@dataclass(frozen=True, kw_only=True)
class LevelProfile:
    """One level of a map over one axis."""

    level: Mapping[str, str]
    """The level of each category, by name."""
    probabilities: npt.NDArray[np.float64]
    """(n, 4) in the order of `REGIMES`."""
    runs: pd.DataFrame
    """The runs, with unit position `x` and their `mark`."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What the figure of a one-axis map shows."""

    axis: Axis
    """The map's axis."""
    grid: npt.NDArray[np.float64]
    """(n,) values of the axis."""
    panels: tuple[LevelProfile, ...]
    """One per level of the categories."""
    caption: str
    """Rule, number of runs, weights and warnings, in words."""


def info(fitted: RegimeMap, at: Mapping[str, Any] | None = None, resolution: int = 241) -> Profile:
    """Gather the figure of a map over one axis, of the levels of categories that `at` leaves."""
    (axis,) = fitted.axes
    grid = axis.grid(resolution)
    panels = []
    for one in levels_drawn(fitted, at):
        chance = one.probabilities(pd.DataFrame({axis.name: grid}))[[str(r) for r in REGIMES]].to_numpy()
        runs = one.runs.assign(x=plane.position(axis, one.runs[axis.name]), mark=mark_of(one.runs))
        panels.append(LevelProfile(level=one.fixed, probabilities=chance, runs=runs))
    caption = map_caption(fitted, [], [panel.level for panel in panels])
    return Profile(axis=axis, grid=grid, panels=tuple(panels), caption=caption)


def draw(profile: Profile, style: Style = STYLES["screen"]) -> Figure:
    """Draw the probabilities stacked, confusion at the bottom, with the runs in rows of their regimes above."""
    n = len(profile.panels)
    width = style.width if n == 1 else style.wide
    with drawing(style):
        figure, grid = new_figure(
            (width, 0.62 * style.width),
            nrows=2,
            ncols=n,
            sharex=True,
            squeeze=False,
            gridspec_kw={"height_ratios": [1, 2.4]},
        )
        for column, panel in enumerate(profile.panels):
            _draw_level(grid[0, column], grid[1, column], panel, profile, style)
            if column:
                grid[0, column].yaxis.set_tick_params(labelleft=False)
                grid[1, column].yaxis.set_tick_params(labelleft=False)
        grid[1, 0].set_ylabel("probability")
        marks = marks_drawn([panel.runs for panel in profile.panels])
        regimes = regimes_drawn([panel.probabilities for panel in profile.panels], [p.runs for p in profile.panels])
        handles = legend(marks, style, regimes, lines=False)
        furnish(figure, Words(caption=profile.caption), style, handles, columns=2)
    return figure


def _draw_level(rows: Axes, axes: Axes, panel: LevelProfile, profile: Profile, style: Style) -> None:
    draw_stack(axes, panel, profile)
    names = [str(regime) for regime in REGIMES]
    _draw_runs(rows, panel.runs, names, style)
    rows.set_yticks(range(len(names)), names)
    rows.set_ylim(-0.6, len(names) - 0.4)
    rows.set_title(", ".join(f"{pretty(name)} {text}" for name, text in panel.level.items()), fontsize=style.font)


def draw_stack(axes: Axes, panel: LevelProfile, profile: Profile) -> None:
    """Draw the probabilities of one level, stacked, over the map's axis."""
    us = plane.position(profile.axis, profile.grid)
    axes.stackplot(us, panel.probabilities.T, colors=[REGIME_COLOURS[r] for r in REGIMES], linewidth=0)
    axes.set_ylim(0, 1)
    plane.dress(axes, profile.axis, None)


def _draw_runs(rows: Axes, runs: pd.DataFrame, names: list[str], style: Style) -> None:
    row = np.array([names.index(regime) for regime in runs["regime"]])
    if len(runs) > crowd.MANY:
        found = crowd.cells(runs.assign(y=(row + 0.5) / crowd.CELLS))
        crowd.draw_cells(rows, found.assign(y=[names.index(regime) for regime in found["regime"]]), style)
        return
    for name, group in runs.assign(row=row).groupby("mark"):
        look = MARKS[str(name)]
        rows.scatter(
            group["x"], group["row"], s=style.marker**2 * 0.8, marker=look["marker"], edgecolors=INK, clip_on=False,
            linewidths=0.6, c=[REGIME_COLOURS[r] for r in group["regime"]] if look["filled"] else "white",
        )  # fmt: skip
