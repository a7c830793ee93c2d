"""Many runs as cells: above `MANY` a mark for each would hide the map, and a file would grow with the runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.figures.base import INK, REGIME_COLOURS, Style
from analysis.figures.plane import ZERO_STRIP

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MANY = 1000
"""Runs of a panel above which it shows cells."""
CELLS = 28
"""Cells along a side of the box."""
LABEL = "cell of runs: area, their number; colour, the regime of most"
"""What the legend says of a cell."""


def cells(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the cells in which runs at unit positions `x`, `y` stand: `x`, `y` of the middle, `regime`, `count`.

    A cell's regime is that of most of its runs; its middle is a little outside the box for runs beside it, at zero.
    """
    table = pd.DataFrame({"x": _cell(runs["x"]), "y": _cell(runs["y"]), "regime": runs["regime"].to_numpy()})
    counted = table.value_counts().rename("count").reset_index()
    first = counted.sort_values("count", ascending=False, kind="stable").drop_duplicates(["x", "y"])
    total = counted.groupby(["x", "y"])["count"].sum()
    found = first.drop(columns="count").merge(total.reset_index(), on=["x", "y"])
    return found.assign(x=(found["x"] + 0.5) / CELLS, y=(found["y"] + 0.5) / CELLS)


def _cell(units: pd.Series) -> npt.NDArray[np.float64]:
    # An end of the box belongs to the cell inside it; only zeros, in their strip, stand beside the box.
    inside = np.clip(units, np.where(units < ZERO_STRIP[1], -np.inf, 0.0), 1 - 0.5 / CELLS)
    return np.asarray(np.floor(inside * CELLS))


def areas(count: npt.ArrayLike, style: Style) -> npt.NDArray[np.float64]:
    """Return the areas of marks that stand for numbers of runs, in square points; the fullest is a large mark."""
    share = np.asarray(count, dtype=float) / np.max(count)
    return np.asarray((1.3 * style.marker) ** 2 * np.maximum(share, 0.06))


def draw_cells(axes: Axes, found: pd.DataFrame, style: Style) -> None:
    """Draw cells as discs."""
    axes.scatter(
        found["x"], found["y"], s=areas(found["count"], style), c=[REGIME_COLOURS[r] for r in found["regime"]],
        edgecolors=INK, linewidths=0.07 * style.marker, zorder=3, clip_on=False,
    )  # fmt: skip
