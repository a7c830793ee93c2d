"""The regime map: colours blend by probability, boundaries carry 50 and 90 % bands, every run is a point.

Two axes make one panel. A third is sliced: three panels unless a slice is named, each run in the panel whose slice is
nearest, so that every run is drawn exactly once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.figures import plane
from analysis.figures.base import (
    INK,
    REGIME_COLOURS,
    REGIME_INK,
    STYLES,
    Style,
    Words,
    drawing,
    furnish,
    new_figure,
    number,
    pretty,
)
from grokcore.errors import DataError
from grokcore.records.regimes import REGIMES, RegimeRule

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.maps.geometry import Boundary, MapSlice
    from analysis.maps.regime_map import RegimeMap

SLICES = (1 / 6, 1 / 2, 5 / 6)
"""Where a third axis is cut when no slice is named: the middles of its thirds."""

MARKS: dict[str, dict[str, Any]] = {
    "generalised": {"marker": "o", "filled": True},
    "unstable: fell back later": {"marker": "D", "filled": True},
    "censored: memorised, not generalised": {"marker": "o", "filled": False},
    "censored: not even memorised": {"marker": "s", "filled": False},
    "stopped early: regime not certain": {"marker": "v", "filled": False},
    "diverged or failed": {"marker": "X", "filled": True},
}
"""How a run is drawn, by what is known of it; open marks are censored."""


_INDEX = {str(regime): index for index, regime in enumerate(REGIMES)}


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One slice of the map."""

    at: Mapping[str, float]
    """The axes that are held fixed, by name."""
    cells: MapSlice
    """Probabilities on the slice's grid."""
    boundaries: Sequence[Boundary]
    """The boundaries that run through the slice."""
    strips: Mapping[str, npt.NDArray[np.float64]]
    """Probabilities (n, 4) along the zero category of "x" or "y", where that axis has one."""
    runs: pd.DataFrame
    """The runs drawn here, with unit positions `x`, `y` and a `mark` (a key of `MARKS`)."""


@dataclass(frozen=True, kw_only=True)
class MapFigure:
    """What the map's figure shows."""

    x: Any
    """The horizontal axis (`analysis.Axis`)."""
    y: Any
    """The vertical axis."""
    panels: tuple[Panel, ...]
    """One per slice."""
    rule: RegimeRule
    """The rule the regimes follow."""
    caption: str
    """Rule, budget, number of runs, slices, weights and warnings, in words."""


def mark_of(runs: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return the key of `MARKS` for every run of a map."""
    outcome = runs["outcome"].astype(str).to_numpy()
    names = list(MARKS)
    conditions = [
        np.isin(outcome, ["diverged", "failed"]),
        ~runs["known"].to_numpy(dtype=bool),
        (runs["regime"] == "confusion").to_numpy(),
        (runs["regime"] == "memorization").to_numpy(),
        outcome == "unstable",
    ]
    return np.asarray(np.select(conditions, [names[5], names[4], names[3], names[2], names[1]], names[0]), dtype=object)


def info(
    fitted: RegimeMap,
    x: str | None = None,
    y: str | None = None,
    at: Mapping[str, float] | None = None,
    resolution: int = 61,
) -> MapFigure:
    """Gather the figure of `fitted` over axes `x` and `y` (the first two, unless named), other axes held `at` values.

    Raises `DataError` when the map has fewer than two axes, or `x` and `y` are the same.
    """
    first, second = chosen_axes(fitted, x, y)
    given = {fitted.axis(name).name: float(value) for name, value in (at or {}).items()}
    free = [axis for axis in fitted.axes if axis.name not in {first.name, second.name, *given}]
    cuts = [{free[0].name: plane.value_at(free[0], unit)} for unit in SLICES] if free else [{}]
    panels = []
    owner = _nearest_slice(fitted.runs, free[0] if free else None)
    for index, cut in enumerate(cuts):
        held = given | cut | {axis.name: plane.value_at(axis, 0.5) for axis in free[1:]}
        runs = fitted.runs[owner == index]
        panels.append(_panel(fitted, first, second, held, runs, resolution))
    return MapFigure(
        x=first,
        y=second,
        panels=tuple(panels),
        rule=fitted.rule,
        caption=map_caption(fitted, [panel.at for panel in panels], edges=any(panel.boundaries for panel in panels)),
    )


def chosen_axes(fitted: RegimeMap, x: str | None, y: str | None) -> tuple[Any, Any]:
    """Return the two axes to draw over; raises `DataError` when there are not two different ones."""
    if len(fitted.axes) < 2:
        raise DataError(f"a map over {fitted.axes[0].name} alone has no plane to draw; see analysis.figures.profile.")
    first = fitted.axis(x) if x else next(a for a in fitted.axes if y is None or a.name != fitted.axis(y).name)
    second = fitted.axis(y) if y else next(a for a in fitted.axes if a.name != first.name)
    if first.name == second.name:
        raise DataError(f"x and y are both {first.name}; name two different axes of {[a.name for a in fitted.axes]}.")
    return first, second


def _nearest_slice(runs: pd.DataFrame, axis: Any) -> npt.NDArray[np.intp]:
    if axis is None:
        return np.zeros(len(runs), dtype=np.intp)
    units = plane.position(axis, runs[axis.name])
    return np.asarray(np.abs(units[:, None] - np.array(SLICES)[None, :]).argmin(1))


def _panel(fitted: RegimeMap, x: Any, y: Any, at: Mapping[str, float], runs: pd.DataFrame, resolution: int) -> Panel:
    cells = fitted.grid(x=x.name, y=y.name, at=dict(at), resolution=resolution)
    placed = runs.assign(x=plane.position(x, runs[x.name]), y=plane.position(y, runs[y.name]), mark=mark_of(runs))
    strips = {}
    for side, axis, other, grid in (("x", x, y, cells.grid_y), ("y", y, x, cells.grid_x)):
        if axis.scale == "log" and axis.zero:
            points = pd.DataFrame({axis.name: 0.0, other.name: grid, **at})
            strips[side] = fitted.probabilities(points)[[str(r) for r in REGIMES]].to_numpy()
    return Panel(
        at=at,
        cells=cells,
        boundaries=tuple(meeting_boundaries(fitted, cells)),
        strips=strips,
        runs=placed,
    )


def meeting_boundaries(fitted: RegimeMap, cells: MapSlice) -> list[Boundary]:
    """Return the boundaries of those pairs of regimes that are neighbours on a slice's grid."""
    regime = cells.regime
    touching = {
        (min(a, b), max(a, b))
        for first, second in ((regime[1:], regime[:-1]), (regime[:, 1:], regime[:, :-1]))
        for a, b in zip(first[first != second].tolist(), second[first != second].tolist(), strict=True)
    }
    found = [
        fitted.boundary(
            str(REGIMES[a]), str(REGIMES[b]), x=cells.x.name, y=cells.y.name, at=cells.at, resolution=len(cells.grid_x)
        )
        for a, b in sorted(touching)
    ]
    return [boundary for boundary in found if boundary.curves]


def map_caption(fitted: RegimeMap, slices: Sequence[Mapping[str, float]], *, edges: bool = True) -> str:
    """Return a map's caption: its rule, its runs, its slices, whether there are `edges`, its model, every warning."""
    runs = fitted.runs
    marks = pd.Series(mark_of(runs)).value_counts()
    counts = "; ".join(f"{marks[name]} {name.replace(': ', ', ')}" for name in MARKS if name in marks)
    number_of_seeds = runs["seed"].nunique() if "seed" in runs.columns else 0
    seeds = f", {number_of_seeds} {'seed' if number_of_seeds == 1 else 'seeds'}" if number_of_seeds else ""
    held = sorted({name for at in slices for name in at})
    sliced = "; ".join(f"{pretty(n)} = {', '.join(number(at[n]) for at in _distinct(slices, n))}" for n in held)
    text = f"Rule: {fitted.rule.sentence()}. {len(runs)} runs{seeds}: {counts}."
    if sliced:
        several = len(slices) > 1
        text += (
            f" Slices at {sliced}; a run stands in the nearest." if several else f" Slice at {sliced}; all runs drawn."
        )
    if len(fitted.axes) > 1 and not edges:
        text += f" No boundary {'in these slices' if sliced else 'in this box'}."
    elif len(fitted.axes) > 1:
        text += " Lines: two regimes equally likely; bands: where the line lies with 50 % and 90 % probability."
    text += f" Model: {fitted.weight_sentence}."
    notes = " ".join(fitted.notes)
    return "\n".join([text, *([notes] if notes else []), *(f"Warning: {warning}" for warning in fitted.warnings)])


def _distinct(slices: Sequence[Mapping[str, float]], name: str) -> list[Mapping[str, float]]:
    return list({at[name]: at for at in slices}.values())


def draw(figure_info: MapFigure, style: Style = STYLES["screen"]) -> Figure:
    """Draw the map, one panel per slice, with one legend beneath."""
    n = len(figure_info.panels)
    width = style.width if n == 1 else style.wide
    with drawing(style):
        side = (width - 9 * style.font / 72) / n
        height = min(side, 0.78 * width) + style.font * (4 if n > 1 else 2.5) / 72
        figure, axes = new_figure((width, height), ncols=n, squeeze=False)
        for index, (panel, target) in enumerate(zip(figure_info.panels, axes[0], strict=True)):
            _draw_panel(target, panel, figure_info, style)
            plane.dress(target, figure_info.x, figure_info.y, label_y=index == 0, count=6 if n == 1 else 5)
            if panel.at:
                target.set_title(
                    ", ".join(f"{pretty(k)} {number(v)}" for k, v in panel.at.items()), fontsize=style.font
                )
        marks = {str(mark) for panel in figure_info.panels for mark in panel.runs["mark"]}
        words = Words(caption=figure_info.caption)
        lines = any(panel.boundaries for panel in figure_info.panels)
        furnish(figure, words, style, legend(marks, style, lines=lines), columns=3 if width > 5 else 2)
    return figure


def blend(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return RGB (…, 3) in [0, 1]: the regimes' colours mixed by their probabilities (…, 4)."""
    from matplotlib.colors import to_rgb

    palette = np.array([to_rgb(REGIME_COLOURS[regime]) for regime in REGIMES])
    return np.asarray(np.clip(probabilities @ palette, 0, 1))


def _draw_panel(axes: Axes, panel: Panel, what: MapFigure, style: Style) -> None:
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
    for index, name in enumerate(REGIMES):
        written = TextPath((0, 0), str(name), size=style.font, prop=bold).get_extents()
        width, height = point * (written.width + 0.1 * style.font, style.font)
        place = label_place(
            panel.cells.regime == index, panel.runs[["x", "y"]].to_numpy(), (width, height), style.marker * point
        )
        if place is not None:
            axes.text(
                *place, str(name), ha="center", va="center", color=REGIME_INK[name], fontsize=style.font,
                fontweight="bold", zorder=2.5,
                path_effects=[withStroke(linewidth=style.font * 0.3, foreground=REGIME_COLOURS[name])],
            )  # fmt: skip


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


def legend(marks: set[str], style: Style, *, lines: bool = True) -> list[Any]:
    """Return the handles of a map's legend: regimes, those of `MARKS` that occur, and boundary and bands if `lines`."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(facecolor=REGIME_COLOURS[r], edgecolor=INK, linewidth=0.5, label=str(r)) for r in REGIMES
    ]
    for name, look in MARKS.items():
        if name in marks:
            face = "#b9bec7" if look["filled"] else "white"
            dot = {"marker": look["marker"], "markersize": style.marker, "markeredgewidth": 0.14 * style.marker}
            handles.append(Line2D([], [], linestyle="", markeredgecolor=INK, markerfacecolor=face, label=name, **dot))
    if lines:
        handles.append(Line2D([], [], color=INK, linewidth=style.line * 1.15, label="boundary"))
        handles.append(Patch(facecolor="#bcc1ca", edgecolor="none", label="50 % band"))
        handles.append(Patch(facecolor="none", edgecolor=INK, hatch="/////", linewidth=0, label="90 % band"))
    return handles
