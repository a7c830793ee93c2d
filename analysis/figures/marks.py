"""Marks of runs on a map, where its regions are named, and the legend that explains both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.figures import crowd
from analysis.figures.base import INK, REGIME_COLOURS, Style
from grokcore.records.regimes import REGIMES, Regime

MARKS: dict[str, dict[str, Any]] = {
    "generalised": {"marker": "o", "filled": True},
    "unstable: fell back later": {"marker": "D", "filled": True},
    "forgotten: lost for good": {"marker": "P", "filled": True},
    "censored: memorised, not generalised": {"marker": "o", "filled": False},
    "censored: not even memorised": {"marker": "s", "filled": False},
    "stopped early: regime not certain": {"marker": "v", "filled": False},
    "between evaluations: not certain": {"marker": "^", "filled": False},
    "diverged or failed": {"marker": "X", "filled": True},
}
"""How a run is drawn, by what is known of it; open marks are censored."""
SEEN = 0.1
"""Probability from which a regime's colour is seen in a blend."""


def mark_of(runs: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return the key of `MARKS` for every run of a map."""
    outcome = runs["outcome"].astype(str).to_numpy()
    usual, *others = MARKS
    uncertain = ~runs["known"].to_numpy(dtype=bool)
    conditions = [
        np.isin(outcome, ["diverged", "failed"]),
        # It generalised; what is open is when.
        uncertain & runs["t_gen_event"].to_numpy(dtype=bool),
        uncertain,
        (runs["regime"] == "confusion").to_numpy(),
        (runs["regime"] == "memorization").to_numpy(),
        outcome == "forgotten",
        outcome == "unstable",
    ]
    return np.asarray(np.select(conditions, others[::-1], usual), dtype=object)


def marks_drawn(panels: Sequence[pd.DataFrame]) -> set[str]:
    """Return what the legend must explain: the marks of panels of few runs, and cells where a panel has many."""
    few = [runs for runs in panels if len(runs) <= crowd.MANY]
    return {str(mark) for runs in few for mark in runs["mark"]} | ({crowd.LABEL} if len(few) < len(panels) else set())


def label_place(
    region: npt.NDArray[np.bool_],
    points: npt.NDArray[np.float64],
    size: tuple[float, float],
    mark: npt.NDArray[np.float64] | tuple[float, float] = (0.0, 0.0),
) -> tuple[float, float] | None:
    """Return the centre, in unit coordinates, of a box of `size` inside `region` (ny, nx); None if it fits nowhere.

    Among the boxes that touch the fewest points, drawn as marks of size `mark`, that deepest in the region is taken.
    """
    from scipy.ndimage import distance_transform_edt, minimum_filter

    ny, nx = region.shape
    cells = (max(int(np.ceil(size[1] * ny)), 1) | 1, max(int(np.ceil(size[0] * nx)), 1) | 1)
    fits = minimum_filter(region, size=cells, mode="constant", cval=False)
    if not fits.any():
        return None
    v, u = np.meshgrid(np.linspace(0, 1, ny), np.linspace(0, 1, nx), indexing="ij")
    reach_x, reach_y = (np.array(size) + mark) / 2
    touched = sum(((np.abs(u - x) < reach_x) & (np.abs(v - y) < reach_y)).astype(int) for x, y in points)
    depth = distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    score = np.where(fits, depth - 1000 * touched, -np.inf)
    row, column = np.unravel_index(int(score.argmax()), score.shape)
    return float(column / (nx - 1)), float(row / (ny - 1))


def regimes_drawn(chances: Sequence[npt.NDArray[np.float64]], runs: Sequence[pd.DataFrame]) -> list[Regime]:
    """Return the regimes that the legend must explain: those that a run has, or that are likely somewhere.

    `chances` holds probabilities (…, 4) of each panel; a share below `SEEN` cannot be told from the colour beside it.
    """
    likely = np.max([chance.reshape(-1, len(REGIMES)).max(0) for chance in chances], axis=0) >= SEEN
    had = {str(regime) for one in runs for regime in one["regime"]}
    return [regime for regime, seen in zip(REGIMES, likely, strict=True) if seen or str(regime) in had]


def legend(marks: set[str], style: Style, regimes: Sequence[Regime], *, lines: bool = True) -> list[Any]:
    """Return the handles of a map's legend: `regimes` and `MARKS` that occur, and boundary and bands if `lines`."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(facecolor=REGIME_COLOURS[r], edgecolor=INK, linewidth=0.5, label=str(r)) for r in regimes
    ]
    for name, look in MARKS.items():
        if name in marks:
            face = "#b9bec7" if look["filled"] else "white"
            dot = {"marker": look["marker"], "markersize": style.marker, "markeredgewidth": 0.14 * style.marker}
            handles.append(Line2D([], [], linestyle="", markeredgecolor=INK, markerfacecolor=face, label=name, **dot))
    if crowd.LABEL in marks:
        dot = {"marker": "o", "markersize": style.marker, "markeredgewidth": 0.07 * style.marker}
        handles.append(Line2D([], [], linestyle="", markeredgecolor=INK, color="#b9bec7", label=crowd.LABEL, **dot))
    if lines:
        handles.append(Line2D([], [], color=INK, linewidth=style.line * 1.15, label="boundary"))
        handles.append(Patch(facecolor="#bcc1ca", edgecolor="none", label="50 % band"))
        handles.append(Patch(facecolor="none", edgecolor=INK, hatch="/////", linewidth=0, label="90 % band"))
    return handles
