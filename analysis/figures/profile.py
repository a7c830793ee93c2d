"""A map over one axis: the regimes' probabilities stacked, every run a point on the rim of its regime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.figures import plane
from analysis.figures.base import INK, REGIME_COLOURS, STYLES, Style, Words, drawing, furnish, new_figure
from analysis.figures.regime_map import MARKS, legend, map_caption, mark_of
from grokcore.records.regimes import REGIMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.maps.regime_map import RegimeMap


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What the figure of a one-axis map shows."""

    axis: Any
    """The map's axis."""
    grid: npt.NDArray[np.float64]
    """(n,) values of the axis."""
    probabilities: npt.NDArray[np.float64]
    """(n, 4) in the order of `REGIMES`."""
    runs: pd.DataFrame
    """The runs, with unit position `x` and their `mark`."""
    caption: str
    """Rule, number of runs, weights and warnings, in words."""


def info(fitted: RegimeMap, resolution: int = 241) -> Profile:
    """Gather the figure of a map over one axis."""
    (axis,) = fitted.axes
    grid = axis.grid(resolution)
    chance = fitted.probabilities(pd.DataFrame({axis.name: grid}))[[str(r) for r in REGIMES]].to_numpy()
    runs = fitted.runs.assign(x=plane.position(axis, fitted.runs[axis.name]), mark=mark_of(fitted.runs))
    return Profile(axis=axis, grid=grid, probabilities=chance, runs=runs, caption=map_caption(fitted, []))


def draw(profile: Profile, style: Style = STYLES["screen"]) -> Figure:
    """Draw the probabilities stacked, confusion at the bottom, with the runs in rows of their regimes above."""
    with drawing(style):
        figure, (rows, axes) = new_figure(
            (style.width, 0.62 * style.width), nrows=2, sharex=True, gridspec_kw={"height_ratios": [1, 2.4]}
        )
        us = plane.position(profile.axis, profile.grid)
        axes.stackplot(us, profile.probabilities.T, colors=[REGIME_COLOURS[r] for r in REGIMES], linewidth=0)
        axes.set_ylim(0, 1)
        names = [str(regime) for regime in REGIMES]
        for name, group in profile.runs.groupby("mark"):
            look = MARKS[str(name)]
            axes_y = [names.index(regime) for regime in group["regime"]]
            rows.scatter(
                group["x"], axes_y, s=style.marker**2 * 0.8, marker=look["marker"], edgecolors=INK, clip_on=False,
                c=[REGIME_COLOURS[r] for r in group["regime"]] if look["filled"] else "white", linewidths=0.6,
            )  # fmt: skip
        rows.set_yticks(range(len(names)), names)
        rows.set_ylim(-0.6, len(names) - 0.4)
        plane.dress(axes, profile.axis, None)
        axes.set_ylabel("probability")
        marks = profile.runs["mark"].unique()
        furnish(figure, Words(caption=profile.caption), style, legend(set(marks), style, lines=False), columns=2)
    return figure
