"""The regime map: colours blend by probability, boundaries carry 50 and 90 % bands, every run is a point.

Two axes make one panel. A third is sliced: at the values that runs have where they are few, else in the middle of its
thirds, unless a slice is named; each run is in the panel of the nearest slice, so that every run is drawn exactly once.
Each level of a category has panels of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.figures import crowd, plane
from analysis.figures.base import (
    INK,
    REGIME_COLOURS,
    REGIME_INK,
    STYLES,
    Style,
    Words,
    drawing,
    furnish,
    legend_columns,
    legend_height,
    new_figure,
    row_height,
    wrapped,
)
from analysis.figures.marks import MARKS, label_place, legend, marks_drawn
from grokcore.records.regimes import REGIMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.maps.geometry import Boundary
from analysis.figures.map_panels import MapFigure, Panel, chosen_axes, info, levels_drawn, map_caption

__all__ = ["MapFigure", "Panel", "blend", "chosen_axes", "draw", "info", "levels_drawn", "map_caption"]

_INDEX = {str(regime): index for index, regime in enumerate(REGIMES)}


def draw(figure_info: MapFigure, style: Style = STYLES["screen"]) -> Figure:
    """Draw the map, one panel per level and slice, with one legend beneath."""
    places = figure_info.places(style)
    rows, columns = (1 + max(place[side] for place in places) for side in (0, 1))
    width = style.width if columns == 1 else style.wide
    marks = marks_drawn([panel.runs for panel in figure_info.panels])
    lines = any(panel.boundaries for panel in figure_info.panels)
    with drawing(style):
        handles = legend(marks, style, figure_info.regimes, lines=lines)
        abreast = legend_columns(handles, 3 if width > 5 else 2, width, style)
        side = (width - 9 * style.font / 72) / columns
        height = min(side, 0.78 * width) + style.font * (4 if columns > 1 else 2.5) / 72
        below = legend_height(len(handles), abreast, style)
        height = row_height(height, rows, f"{figure_info.title}. {figure_info.caption}", width, style, below)
        figure, axes = new_figure((width, rows * height), nrows=rows, ncols=columns, squeeze=False)
        for target in axes.flat:
            target.set_visible(False)
        for (row, column), panel in zip(places, figure_info.panels, strict=True):
            target = axes[row, column]
            target.set_visible(True)
            draw_panel(target, panel, figure_info, style)
            plane.dress(target, figure_info.x, figure_info.y, label_y=column == 0, count=6 if columns == 1 else 5)
            if panel.title:
                target.set_title(wrapped(panel.title, side, style), fontsize=style.font)
            if any(place == (row + 1, column) for place in places):
                target.set_xlabel("")
        furnish(figure, Words(caption=figure_info.caption), style, handles, columns=abreast)
    return figure


def blend(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return RGB (…, 3) in [0, 1]: the regimes' colours mixed by their probabilities (…, 4)."""
    from matplotlib.colors import to_rgb

    palette = np.array([to_rgb(REGIME_COLOURS[regime]) for regime in REGIMES])
    return np.asarray(np.clip(probabilities @ palette, 0, 1))


def draw_panel(axes: Axes, panel: Panel, what: MapFigure, style: Style) -> None:
    """Draw a panel's ground, boundaries, runs and the names of its regions on axes in unit coordinates."""
    cells = panel.cells
    ground: dict[str, Any] = {"origin": "lower", "aspect": "auto", "zorder": 0}
    axes.imshow(blend(cells.probabilities), extent=(0, 1, 0, 1), interpolation="bilinear", **ground)
    for side, strip in panel.strips.items():
        low, high = plane.ZERO_STRIP
        image = blend(strip)[:, None, :] if side == "x" else blend(strip)[None, :, :]
        extent = (low, high, 0, 1) if side == "x" else (0, 1, low, high)
        axes.imshow(image, extent=extent, interpolation="nearest", **ground)
    for boundary in panel.boundaries:
        _draw_boundary(axes, boundary, panel, what, style)
    _draw_runs(axes, panel.runs, style)
    _name_regions(axes, panel, style)


def _draw_boundary(axes: Axes, boundary: Boundary, panel: Panel, what: MapFigure, style: Style) -> None:
    from matplotlib import rc_context

    grid = plane.position(what.x, panel.cells.grid_x), plane.position(what.y, panel.cells.grid_y)
    if boundary.share.shape == (len(grid[1]), len(grid[0])):
        # Far from its edge, where other regimes rule, a pair's share says nothing a reader can use.
        pair = panel.cells.probabilities[..., [_INDEX[boundary.first], _INDEX[boundary.second]]].sum(-1)
        share = np.ma.masked_where(~np.isfinite(boundary.share) | (pair < 0.5), boundary.share)
        with rc_context({"hatch.linewidth": 0.35 * style.line, "hatch.color": INK}):
            axes.contourf(
                *grid,
                share,
                levels=[0.05, 0.95],
                colors="none",
                hatches=["////" if style.width > 5 else "///////"],
                zorder=1,
            )
        axes.contourf(*grid, share, levels=[0.25, 0.75], colors=[INK], alpha=0.28, zorder=1)
    for curve in boundary.curves:
        u, v = plane.position(what.x, curve[:, 0]), plane.position(what.y, curve[:, 1])
        axes.plot(u, v, color="white", linewidth=style.line * 2.1, zorder=2)
        axes.plot(u, v, color=INK, linewidth=style.line * 1.15, zorder=2.1)


def _draw_runs(axes: Axes, runs: pd.DataFrame, style: Style) -> None:
    if len(runs) > crowd.MANY:
        crowd.draw_cells(axes, crowd.cells(runs), style)
        return
    for name, group in runs.groupby("mark"):
        look = MARKS[str(name)]
        axes.scatter(
            group["x"], group["y"], s=style.marker**2 * (0.72 if look["filled"] else 0.8), marker=look["marker"],
            c=[REGIME_COLOURS[r] for r in group["regime"]] if look["filled"] else "white", edgecolors=INK,
            linewidths=0.14 * style.marker, zorder=3, clip_on=False,
        )  # fmt: skip


def _name_regions(axes: Axes, panel: Panel, style: Style) -> None:
    """Write each regime's name inside its region, where it lies under the fewest runs."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.patheffects import withStroke
    from matplotlib.textpath import TextPath

    bold = FontProperties(weight="bold")
    box = axes.get_window_extent()
    # Beside the unit square there may be a strip for zero; the layout may still shrink the panel a little.
    across, up = (1.05 * (1 - plane.ZERO_STRIP[0] * (side in panel.strips)) for side in "xy")
    point = np.array([across / box.width, up / box.height]) * axes.figure.dpi / 72
    runs = panel.runs if len(panel.runs) <= crowd.MANY else crowd.cells(panel.runs)
    for index, name in enumerate(REGIMES):
        written = TextPath((0, 0), str(name), size=style.font, prop=bold).get_extents()
        width, height = point * (written.width + 0.1 * style.font, style.font)
        place = label_place(
            panel.cells.regime == index, runs[["x", "y"]].to_numpy(), (width, height), style.marker * point
        )
        if place is not None:
            axes.text(
                *place, str(name), ha="center", va="center", color=REGIME_INK[name], fontsize=style.font,
                fontweight="bold", zorder=2.5 if runs is panel.runs else 3.5,
                path_effects=[withStroke(linewidth=style.font * 0.3, foreground=REGIME_COLOURS[name])],
            )  # fmt: skip
