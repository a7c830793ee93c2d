"""Two maps' edge between the same two regimes: where each lies, and by how much it moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from analysis.figures import on_axes, plane
from analysis.figures.base import (
    INK,
    MUTED,
    STYLES,
    Style,
    Words,
    drawing,
    furnish,
    legend_height,
    new_figure,
    number,
    pretty,
    row_height,
)
from analysis.figures.regime_map import chosen_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.maps.comparison import Comparison
    from analysis.maps.geometry import Boundary
    from analysis.maps.regime_map import RegimeMap
    from analysis.runs.axes import Axis

LOOKS: tuple[tuple[str, Any], ...] = ((INK, "-"), ("#d0603a", (0, (4, 1.5))))
"""Colour and dashes of A and of B; the dashes tell them apart in grey."""
SIDE = 4.4
"""Inches of the side of a page's picture: its letters can be read on a telephone."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What the figure shows."""

    names: tuple[str, str]
    """What A and B are called."""
    x: Axis
    """Axis across, over the range both maps cover."""
    y: Axis | None
    """Axis up; None for maps over one axis."""
    at: Mapping[str, float]
    """Values of the other axes, by column of A."""
    edges: tuple[Boundary, ...]
    """The edge in A and in B, in this slice; empty for maps over one axis."""
    comparison: Comparison
    """The shift with its interval, and where each line crosses in A and B."""
    notes: tuple[str, ...] = ()
    """How the tables of A and B were understood, in sentences."""

    @property
    def crossings(self) -> npt.NDArray[np.float64]:
        """Return (n, 2): where A and B cross on each line on which both do, in units of the shared axis."""
        both = self.comparison.table[["first_edge", "second_edge"]].dropna().to_numpy(dtype=float)
        return plane.position(self.comparison.axis, both)

    @property
    def title(self) -> str:
        """Return which edge is compared."""
        return f"Edge between {self.comparison.first} and {self.comparison.second}"

    @property
    def caption(self) -> str:
        """Return in words what the panels show."""
        held = "; ".join(f"{pretty(name)} {number(value)}" for name, value in self.at.items())
        first, second = self.names
        finding = self.comparison.sentence.rstrip(".")
        text = f"A: {first}; B: {second}. {finding[0].upper()}{finding[1:]}."
        if self.edges:
            text += f" First panel: both edges{f' at {held}' if held else ''}, with their 90 % bands."
        which = "Second panel" if self.edges else "Shown"
        text += f" {which}: one point a line through the box, where it crosses in A and in B; dotted: no shift."
        return " ".join([text, *self.notes])


def info(
    maps: tuple[RegimeMap, RegimeMap], names: tuple[str, str], comparison: Comparison, y: str | None = None
) -> Compared:
    """Gather the figure of a comparison of two maps; the axis of the shift is drawn across, `y` (or another) up."""
    first, second = maps
    notes = (
        first.notes
        if first.notes == second.notes
        else tuple(f"{letter}: {note}" for letter, one in zip("AB", maps, strict=True) for note in one.notes)
    )
    if len(first.axes) == 1:
        return Compared(names=names, x=comparison.axis, y=None, at={}, edges=(), comparison=comparison, notes=notes)
    across, up = chosen_axes(first, comparison.axis.short, y)
    held = {axis.name: axis.middle for axis in first.axes if axis.name not in {across.name, up.name}}
    edges = tuple(
        one.boundary(
            comparison.first,
            comparison.second,
            x=across.short,
            y=up.short,
            at={name.rpartition(".")[2]: value for name, value in held.items()},
            resolution=61,
        )
        for one in maps
    )
    return Compared(names=names, x=across, y=up, at=held, edges=edges, comparison=comparison, notes=notes)


def draw(what: Compared, style: Style = STYLES["screen"]) -> Figure:
    """Draw both edges in one slice, and beside them the crossings of A against those of B."""
    n = 2 if what.edges else 1
    with drawing(style):
        width = style.wide if n == 2 else style.width
        rows, columns = (n, 1) if style.stacked else (1, n)
        height = 0.9 * width if columns == 1 else 0.46 * width
        height = row_height(height, rows, f"{what.title}. {what.caption}", width, style, legend_height(2, 2, style))
        figure, panels = new_figure((width, rows * height), nrows=rows, ncols=columns, squeeze=False)
        if what.edges and what.y is not None:
            _edges(panels[0, 0], what, style)
            plane.dress(panels[0, 0], what.x, what.y)
        _crossings(panels[-1, -1], what, style)
        handles, _ = panels[0, 0].get_legend_handles_labels()
        furnish(figure, Words(title=what.title, caption=what.caption), style, handles)
    return figure


def pictures(
    maps: tuple[RegimeMap, RegimeMap], what: Compared, style: Style = STYLES["screen"]
) -> dict[str, tuple[str, Figure]]:
    """Return the pictures of a page with what each shows; each stands alone, so that they fit a wide and a narrow page.

    Both maps in the slice that the edges are drawn in, these edges over each other, and the crossings.
    """
    found: dict[str, tuple[str, Figure]] = {}
    at = {name.rpartition(".")[2]: value for name, value in what.at.items()}
    held = f", at {', '.join(f'{pretty(name)} {number(value)}' for name, value in what.at.items())}" if what.at else ""
    with drawing(style):
        for letter, name, one in zip("AB", what.names, maps, strict=True):
            figure, axes = new_figure((SIDE, SIDE))
            if what.y is None:
                on_axes.draw(one, axes)
            else:
                on_axes.draw(one, axes, x=what.x.short, y=what.y.short, at=at)
            found[letter] = f"{name}: its regimes{held}", figure
        if what.edges and what.y is not None:
            figure, axes = new_figure((SIDE, SIDE))
            _edges(axes, what, style)
            plane.dress(axes, what.x, what.y, count=5)
            found["edges"] = (
                f"the edge between {what.comparison.first} and {what.comparison.second} in both{held}",
                figure,
            )
        figure, axes = new_figure((SIDE, SIDE))
        _crossings(axes, what, style)
        found["crossings"] = "where each line through the box crosses in A and in B", figure
    return found


def _edges(axes: Axes, what: Compared, style: Style) -> None:
    for edge, (colour, dashes), letter, name in zip(what.edges, LOOKS, "AB", what.names, strict=True):
        grid = plane.position(what.x, edge.grid_x), plane.position(what.y, edge.grid_y)
        share = np.ma.masked_invalid(edge.share)
        if share.count():
            axes.contourf(*grid, share, levels=[0.05, 0.95], colors=[colour], alpha=0.16)
        for index, curve in enumerate(edge.curves):
            u, v = plane.position(what.x, curve[:, 0]), plane.position(what.y, curve[:, 1])
            label = f"{letter}: {name}" if index == 0 else None
            axes.plot(u, v, color=colour, linestyle=dashes, linewidth=style.line * 1.3, label=label)


def _crossings(axes: Axes, what: Compared, style: Style) -> None:
    axis = what.comparison.axis
    found = what.crossings
    axes.plot([0, 1], [0, 1], color=MUTED, linestyle=":", linewidth=style.line * 0.8)
    if len(found):
        size = plane.position(axis, _moved(axis, what.comparison.shift)) - 0.5
        axes.plot([0, 1], [size, 1 + size], color=LOOKS[1][0], linewidth=style.line)
        ends = [plane.position(axis, _moved(axis, v)) - 0.5 for v in (what.comparison.low, what.comparison.high)]
        if np.all(np.isfinite(ends)):
            low, high = ([float(end), 1 + float(end)] for end in ends)
            axes.fill_between([0, 1], low, high, color=LOOKS[1][0], alpha=0.16, linewidth=0)
        axes.plot(found[:, 0], found[:, 1], "o", color="white", markeredgecolor=INK, markersize=style.marker)
    plane.dress(axes, axis, axis)
    axes.set_ylim(0, 1)
    axes.set_xlabel(f"{pretty(axis.name)} of the edge in A")
    axes.set_ylabel(f"{pretty(axis.name)} of the edge in B")
    axes.set_aspect("equal", adjustable="box")


def _moved(axis: Axis, shift: float) -> float:
    """Return the value that lies `shift` (axis units, or log10 of them) from the middle of the axis."""
    return float(axis.middle * 10**shift) if axis.scale == "log" else float(axis.middle + shift)
