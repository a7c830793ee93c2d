"""A forest: one row a method, points with intervals beside a line; ratios, one panel a problem, or shifts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.figures.base import INK, MUTED, TRAIN_COLOUR, VAL_COLOUR, Style, drawing, new_figure, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDEST = 32.0
"""Ratio at which the axis ends; what lies beyond is drawn as an arrow at its edge."""


@dataclass(frozen=True)
class Mark:
    """One ratio, or one shift."""

    ratio: float
    low: float
    high: float
    """Its 95 % interval."""
    seen: bool
    """Whether the difference counts as seen; drawn filled."""


def draw(rows: Sequence[str], panels: Mapping[str, Mapping[str, Sequence[Mark]]], style: Style, axis: str) -> Figure:
    """Return the figure: `panels` has for each title, by the row's name, its marks from the top down."""
    with drawing(style):
        size = (style.wide, 0.9 + 0.27 * len(rows))
        figure, axes = new_figure(size, ncols=len(panels), sharey=True, squeeze=False)
        for place, (panel, (title, marks)) in enumerate(zip(axes[0], panels.items(), strict=True)):
            _furnish(panel, rows, title, axis if place == 0 else "")
            for height, name in enumerate(rows):
                own = marks.get(name, ())
                for level, mark in enumerate(own):
                    _draw(panel, mark, height + (level - (len(own) - 1) / 2) * 0.36, level, style)
    return figure


def draw_shifts(marks: Mapping[str, Mark], style: Style, axis: str) -> Figure:
    """Return the figure of one shift a row, by its name from the top down, beside a line at 0."""
    with drawing(style):
        figure, panel = new_figure((style.width, 0.7 + 0.27 * len(marks)))
        _rows(panel, list(marks))
        panel.axvline(0, color=MUTED, linewidth=0.8)
        panel.set_xlabel(axis)
        for height, mark in enumerate(marks.values()):
            fill = VAL_COLOUR if mark.seen else "white"
            panel.plot([mark.low, mark.high], [height, height], color=VAL_COLOUR, linewidth=style.line)
            panel.plot(
                [mark.ratio], [height], "o", markersize=style.marker * 0.8, color=VAL_COLOUR, markerfacecolor=fill
            )
    return figure


def _rows(panel: Axes, rows: Sequence[str]) -> None:
    panel.set_ylim(len(rows) - 0.4, -0.6)
    panel.set_yticks(range(len(rows)), rows)
    panel.tick_params(axis="y", length=0)
    for height in range(0, len(rows), 2):
        panel.axhspan(height - 0.5, height + 0.5, color=MUTED, alpha=0.08, linewidth=0)


def _furnish(panel: Axes, rows: Sequence[str], title: str, label: str) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    _rows(panel, rows)
    panel.set_xscale("log")
    panel.set_xlim(1 / WIDEST, WIDEST)
    panel.xaxis.set_major_locator(FixedLocator([1 / 16, 1 / 4, 1, 4, 16]))
    panel.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: number(value) if value >= 1 else f"1/{1 / value:.0f}")
    )
    panel.xaxis.set_minor_locator(NullLocator())
    panel.axvline(1, color=MUTED, linewidth=0.8)
    panel.set_title(title, fontsize="medium")
    panel.set_xlabel(label)


def _draw(panel: Axes, mark: Mark, height: float, level: int, style: Style) -> None:
    colour = (VAL_COLOUR, TRAIN_COLOUR, INK)[level % 3]
    ends = [min(max(end, 1 / WIDEST), WIDEST) for end in (mark.low, mark.high)]
    panel.plot(ends, [height, height], color=colour, linewidth=style.line)
    inside = 1 / WIDEST < mark.ratio < WIDEST
    shape = "os^"[level % 3] if inside else ("<" if mark.ratio < 1 else ">")
    at = min(max(mark.ratio, 1 / WIDEST), WIDEST) if math.isfinite(mark.ratio) else 1.0
    fill = colour if mark.seen else "white"
    panel.plot([at], [height], marker=shape, markersize=style.marker * 0.8, color=colour, markerfacecolor=fill)
