"""Where a map is unsure and why: what more runs would settle, beside what differs from seed to seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.figures import crowd, plane
from analysis.figures.base import INK, STYLES, Style, Words, drawing, furnish, new_figure, row_height, wrapped
from analysis.figures.regime_map import MapFigure, Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = {"epistemic": "more runs would sharpen this", "seeds": "seeds differ here"}
"""The two parts of a map's uncertainty and what they mean to whoever plans the next runs."""
CAPTION = (
    "Entropy of the regime of a run with a new seed, in bits, split into the part that more runs would remove and the "
    "part that stays because seeds differ. Lines: the map's boundaries; dots: runs."
)


def caption(what: MapFigure) -> str:
    """Return in words what the figure shows."""
    return f"{CAPTION} Rule: {what.rule.sentence()}."


def draw(what: MapFigure, style: Style = STYLES["screen"]) -> Figure:
    """Draw both parts of the uncertainty of a map's panels, one part below the other, on one scale for all."""
    n = len(what.panels)
    places = [(index, 0) for index in range(n)] if style.stacked else what.places(style)
    top = max(0.2, *(float(np.max(getattr(panel.cells, kind))) for panel in what.panels for kind in KINDS))
    with drawing(style):
        # The parts of one panel stand side by side, of several below one another; where there is no room the other way.
        block, across = (1 + max(place[side] for place in places) for side in (0, 1))
        beside = (n == 1) != style.stacked
        rows, columns = (block, 2) if beside else (2 * block, across)
        width = style.wide
        side = (width - 12 * style.font / 72) / max(columns, 1 if style.stacked else 2)
        height = min(side, (0.65 if style.stacked else 0.4) * width)
        height = row_height(height, rows, caption(what), width, style, 0.5)
        figure, grid = new_figure((width, rows * height + 0.5), nrows=rows, ncols=columns, squeeze=False)
        for axes in grid.flat:
            axes.set_visible(False)
        for part, (kind, words) in enumerate(KINDS.items()):
            for (row, column), panel in zip(places, what.panels, strict=True):
                axes = grid[row, part] if beside else grid[part * block + row, column]
                axes.set_visible(True)
                draw_panel(axes, panel, kind, what, top)
                first = column == 0 and (not beside or part == 0)
                plane.dress(axes, what.x, what.y, label_y=first, count=5)
                begins = (row, column) == (0, 0)
                meaning, told = wrapped(words, side, style), wrapped(panel.title, side, style)
                title = f"{meaning}\n{told}" if begins and told else told or meaning
                axes.set_title(title, fontsize=style.font)
                if row < block - 1 or not (beside or part == 1):
                    axes.set_xlabel("")
        bar = figure.colorbar(grid[0, 0].images[0], ax=grid, shrink=0.8 if rows < 3 else 0.4, pad=0.01, aspect=30)
        bar.set_label("bits")
        bar.outline.set_visible(False)
        furnish(figure, Words(caption=caption(what)), style)
    return figure


def draw_panel(axes: Axes, panel: Panel, kind: str, what: MapFigure, top: float) -> None:
    """Draw one kind of a panel's uncertainty, in bits up to `top`, with its boundaries and runs."""
    axes.imshow(
        getattr(panel.cells, kind), origin="lower", extent=(0, 1, 0, 1), aspect="auto", interpolation="bilinear",
        cmap="cividis", vmin=0.0, vmax=top,
    )  # fmt: skip
    for boundary in panel.boundaries:
        for curve in boundary.curves:
            places = plane.position(what.x, curve[:, 0]), plane.position(what.y, curve[:, 1])
            axes.plot(*places, color="white", linewidth=1.0)
    few = len(panel.runs) <= crowd.MANY
    runs = panel.runs if few else crowd.cells(panel.runs)
    size = 5 if few else np.maximum(8 * runs["count"] / runs["count"].max(), 0.5)
    axes.scatter(runs["x"], runs["y"], s=size, c="white", edgecolors=INK, linewidths=0.4, clip_on=False, zorder=3)
