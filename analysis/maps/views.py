"""MapViews: a fitted map as pictures, tables and a page, for notebooks and scripts."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.maps.questions import MapQuestions

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, kw_only=True, eq=False)
class MapViews(MapQuestions):
    """How a map shows itself. Drawing and writing stand above maps, and are asked for by name when they are needed."""

    def plot(
        self, ax: Any = None, *, x: str | None = None, y: str | None = None, at: Mapping[str, Any] | None = None
    ) -> Any:
        """Draw the map with Matplotlib and return its axes: one, or an array of one a panel.

        `x` and `y` are the axes drawn, `at` holds others, and categories at a level. On an `ax` of yours one panel is
        drawn, the other axes at their middle. Raises `DataError` for names that are no axes.
        """
        return _views().plot(self, ax, x=x, y=y, at=at)

    def plot_uncertainty(
        self,
        ax: Any = None,
        *,
        kind: str = "epistemic",
        x: str | None = None,
        y: str | None = None,
        at: Mapping[str, Any] | None = None,
    ) -> Any:
        """Draw where the map is unsure: "epistemic" bits, which more runs would remove, or those of "seeds".

        Otherwise as `plot`.
        """
        return _views().plot(self, ax, x=x, y=y, at=at, kind=kind)

    def boundaries(
        self, *, x: str | None = None, y: str | None = None, at: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return the lines and bands that `plot` draws as one table, those of ``map-boundaries.csv``.

        A row is a point: first, second (the regimes), kind (edge, band50, band90), line (a number), the axes.
        """
        table: pd.DataFrame = _views().boundary_table(self, x=x, y=y, at=at)
        return table

    def to_xarray(self) -> xarray.Dataset:
        """Return the map on a grid over all its axes, as ``map.nc`` has it: probabilities, uncertainty, times."""
        data: xarray.Dataset = _views().to_xarray(self)
        return data

    def page(self) -> Any:
        """Return the interactive page of the map; a notebook shows it, ``save(path)`` writes it."""
        return _views().page(self)

    def _repr_html_(self) -> str:
        return str(_views().html(self))


def _views() -> Any:
    return importlib.import_module("analysis.exports.views")
