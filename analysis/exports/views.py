"""What a map's methods show: it stands above maps and figures, and is loaded by name when it is asked for."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.exports.map import boundary_table as table_of
from analysis.exports.map import dataset, define
from analysis.figures import base, on_axes, profile, regime_map
from analysis.maps.grid import map_grid
from analysis.models.cores import single_threaded
from analysis.pages import map_page
from analysis.pages.html import Page
from analysis.pages.page_data import Drawn
from analysis.runs.sources import Source, read_source

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

    from analysis.maps.regime_map import RegimeMap

STYLE = base.STYLES["screen"]


@single_threaded()
def plot(fitted: RegimeMap, ax: Axes | None = None, **chosen: Any) -> Any:
    """Draw a map on axes; see `RegimeMap.plot`."""
    return on_axes.draw(fitted, ax, **chosen)


@single_threaded()
def boundary_table(fitted: RegimeMap, x: str | None, y: str | None, at: Mapping[str, Any] | None) -> pd.DataFrame:
    """Return the lines and bands of the map's figure; of a map over one axis none."""
    if len(fitted.axes) == 1:
        return table_of([])
    panels = regime_map.info(fitted, x, y, at).panels
    return table_of([(boundary, panel.level) for panel in panels for boundary in panel.boundaries])


@single_threaded()
def to_xarray(fitted: RegimeMap) -> xarray.Dataset:
    """Return the map of every level on a grid."""
    maps = dict(fitted.parts) or {(): fitted}
    return dataset(maps, {level: map_grid(one) for level, one in maps.items()})


@single_threaded()
def page(fitted: RegimeMap, source: Source | None = None) -> Page:
    """Return the page of a map, with its runs' curves where `source` has them."""
    source = source or read_source(fitted.source)
    maps = {level: one for level, one in fitted.parts.items()} or {(): fitted}
    grids = {level: map_grid(one) for level, one in maps.items()}
    definition = define(fitted, source, Path(), Drawn())
    return Page(map_page.page(fitted, source, grids, definition))


@single_threaded()
def html(fitted: RegimeMap) -> str:
    """Return the map's figure with its caption as HTML for a notebook."""
    if len(fitted.axes) == 1:
        figure = profile.draw(profile.info(fitted), STYLE)
    else:
        figure = regime_map.draw(regime_map.info(fitted), STYLE)
    picture = base64.b64encode(base.png(figure, STYLE)).decode()
    return f'<img alt="{escape(repr(fitted))}" style="max-width:100%" src="data:image/png;base64,{picture}">'
