"""A map on Matplotlib axes of one's own, or on new ones that pyplot, and so a notebook, knows of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.figures import plane, profile, regime_map, uncertainty
from analysis.figures.base import STYLES
from analysis.figures.map_panels import Panel, chosen_axes
from analysis.figures.marks import legend, marks_drawn
from grokcore.errors import DataError, unknown_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from analysis.figures.regime_map import MapFigure
    from analysis.maps.regime_map import RegimeMap

SIDE = 4.2
"""Inches of a new panel's side."""


def draw(
    fitted: RegimeMap,
    axes: Axes | None = None,
    *,
    x: str | None = None,
    y: str | None = None,
    at: Mapping[str, Any] | None = None,
    kind: str | None = None,
) -> Any:
    """Draw the map, or one `kind` of its uncertainty, on `axes` or new ones; return one, or an array of one a panel.

    Raises `DataError` for a kind or axes there are none of, and for one's own axes and several levels.
    """
    if kind is not None and kind not in uncertainty.KINDS:
        raise DataError(unknown_name("kind of uncertainty", kind, uncertainty.KINDS))
    if len(fitted.axes) == 1:
        return _draw_profile(fitted, axes, at, kind)
    if axes is None:
        what = regime_map.info(fitted, x, y, at)
        rows, columns = (1 + max(place[side] for place in what.places(STYLES["screen"])) for side in (0, 1))
        grid = _new(rows, columns)
        for target in grid.flat:
            target.set_visible(False)
        targets = [grid[place] for place in what.places(STYLES["screen"])]
    else:
        drawn = {axis.name for axis in chosen_axes(fitted, x, y)}
        middle = {axis.name: axis.middle for axis in fitted.axes if axis.name not in drawn}
        one = fitted.level(at)
        what = regime_map.info(one, x, y, middle | one.numbers_at(at))
        targets = [axes]
    top = max(0.2, *(float(np.max(getattr(panel.cells, kind))) for panel in what.panels)) if kind else 0.0
    for target, panel in zip(targets, what.panels, strict=True):
        target.set_visible(True)
        _draw_panel(target, panel, what, kind, top)
    if kind:
        figure = targets[0].figure
        figure.colorbar(targets[0].images[0], ax=targets, label=f"bits: {uncertainty.KINDS[kind]}")
    elif axes is None:
        # Axes of one's own keep their room: the regions are named in them.
        marks = marks_drawn([panel.runs for panel in what.panels])
        handles = legend(marks, STYLES["screen"], what.regimes, lines=any(panel.boundaries for panel in what.panels))
        targets[0].figure.legend(handles=handles, loc="outside lower left", ncols=3, frameon=False)
    return targets[0] if len(targets) == 1 else np.array(targets)


def _new(rows: int, columns: int) -> Any:
    from matplotlib import pyplot

    size = (SIDE * columns + 0.8, SIDE * rows + 1.2)
    return pyplot.subplots(rows, columns, squeeze=False, layout="constrained", figsize=size)[1]


def _draw_panel(axes: Axes, panel: Panel, what: MapFigure, kind: str | None, top: float) -> None:
    if kind:
        uncertainty.draw_panel(axes, panel, kind, what, top)
    else:
        regime_map.draw_panel(axes, panel, what, STYLES["screen"])
    plane.dress(axes, what.x, what.y, count=5)
    axes.set_title(panel.title)


def _draw_profile(fitted: RegimeMap, axes: Axes | None, at: Mapping[str, Any] | None, kind: str | None) -> Any:
    if kind:
        raise DataError(f"a map over {fitted.axes[0].name} alone has no plane; ask its uncertainty(points).")
    what = profile.info(fitted, at)
    if axes is not None and len(what.panels) > 1:
        raise DataError(f"this map has {len(what.panels)} panels, a level each; say which with at=, or give no axes.")
    targets = [axes] if axes is not None else list(_new(1, len(what.panels)).flat)
    for target, panel in zip(targets, what.panels, strict=True):
        profile.draw_stack(target, panel, what)
        target.set_ylabel("probability")
    return targets[0] if len(targets) == 1 else np.array(targets)
