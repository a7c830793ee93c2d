"""Where regimes meet in a fitted map: grids over its box, boundaries with bands, and surfaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.ndimage import map_coordinates

from analysis.maps import geometry
from analysis.maps.geometry import Boundary, Surface
from analysis.maps.uncertainty import side_share
from analysis.models.ensemble import Ensemble
from analysis.runs.axes import Array, Axis, features
from grokcore.errors import DataError, unknown_name
from grokcore.records.regimes import REGIMES

NAMES = [str(regime) for regime in REGIMES]
Pair = tuple[int, int]
"""Two regimes, as indices into `REGIMES`."""
POLISHINGS = 3
"""Secants that a line on the grid takes towards where the regimes are equally likely."""


def regime_pair(first: str, second: str) -> Pair:
    """Return the indices of two different regimes; raises `DataError`."""
    for name in (first, second):
        if str(name) not in NAMES:
            raise DataError(unknown_name("regime", name, NAMES))
    if str(first) == str(second):
        raise DataError(f"a boundary takes two different regimes; given {first} twice.")
    return NAMES.index(str(first)), NAMES.index(str(second))


def axis_named(name: str, axes: tuple[Axis, ...]) -> Axis:
    """Return the axis called `name`, by its column or its short name; raises `DataError`."""
    for axis in axes:
        if name in (axis.name, axis.short):
            return axis
    raise DataError(unknown_name("axis", name, [axis.short for axis in axes]))


@dataclass(frozen=True, kw_only=True)
class BoundaryFinder:
    """A fitted ensemble over its axes, asked for lines and surfaces."""

    axes: tuple[Axis, ...]
    ensemble: Ensemble
    code: Array = field(default_factory=lambda: np.zeros(0))
    """What stands after the axes' features in every row: the level of an ensemble that levels share."""

    def axis(self, name: str) -> Axis:
        """Return the axis called `name`, by its column or its short name."""
        return axis_named(name, self.axes)

    def _rows(self, points: pd.DataFrame) -> Array:
        return features(self.axes, points, self.code)

    def drawn(self, x: str, y: str) -> tuple[Axis, Axis]:
        """Return the two axes of a slice."""
        first, second = self.axis(x), self.axis(y)
        if first == second:
            raise DataError(f"x and y are both {first.name}; give two axes.")
        return first, second

    def held(self, drawn: tuple[Axis, ...], at: Mapping[str, float] | None) -> dict[str, float]:
        """Return the values of the axes that are not drawn, by column: those of `at`, or the middles."""
        given = {self.axis(name).name: value for name, value in (at or {}).items()}
        return geometry.others(self.axes, drawn, given)

    def points(self, drawn: tuple[Axis, ...], held: Mapping[str, float], resolution: int) -> pd.DataFrame:
        """Return the points of a grid over the drawn axes, the first varying slowest."""
        mesh = np.meshgrid(*(axis.grid(resolution) for axis in drawn), indexing="ij")
        table = pd.DataFrame({axis.name: values.ravel() for axis, values in zip(drawn, mesh, strict=True)})
        return table.assign(**held)

    def boundary(
        self, pair: Pair, drawn: tuple[Axis, Axis], at: Mapping[str, float] | None, resolution: int
    ) -> Boundary:
        """Return where two regimes are equally likely, and none more, in the slice over `drawn` (x, y)."""
        across, up = drawn
        held = self.held(drawn, at)
        rows = self._rows(self.points((up, across), held, resolution))
        share, sure = side_share(self.ensemble, rows, pair)
        shape = (resolution, resolution)
        share = np.where(sure, share, np.nan).reshape(shape)
        mixture = self.ensemble.mixture(rows)
        difference = _log_odds(mixture, pair).reshape(shape)
        lines = geometry.trace(across, up, difference, 0.0)
        polished = self._polished(lines, drawn, held, pair, difference)
        curves = self._where_they_lead(polished, drawn, held, pair)
        bands = {level: geometry.outlines(across, up, share, ends) for level, ends in geometry.BANDS.items()}
        return Boundary(
            first=NAMES[pair[0]],
            second=NAMES[pair[1]],
            x=across,
            y=up,
            at=held,
            curves=curves,
            bands=bands if curves else {level: [] for level in bands},
            grid_x=across.grid(resolution),
            grid_y=up.grid(resolution),
            share=share,
        )

    def _polished(
        self, lines: list[Array], drawn: tuple[Axis, Axis], held: Mapping[str, float], pair: Pair, field_yx: Array
    ) -> list[Array]:
        """Return polylines moved, by less than a cell, to where the two are equally likely and not just nearly so.

        Along the slope of the log-odds on their (ny, nx) grid, by secants: at a cliff they are far steeper than there.
        """
        if not lines:
            return []
        cell = 1.0 / (len(field_yx) - 1)
        points = np.concatenate(lines)
        begun = np.column_stack([axis.unit(points[:, k]) for k, axis in enumerate(drawn)])
        places = begun.T[::-1] / cell
        slope = np.stack([map_coordinates(each, places, order=1) for each in np.gradient(field_yx, cell)[::-1]])
        rate = np.maximum(np.linalg.norm(slope, axis=0), 1e-6)
        direction = (slope / rate).T

        def odds_at(along: Array) -> Array:
            units = np.clip(begun + along[:, None] * direction, 0.0, 1.0)
            return _log_odds(self.ensemble.mixture(self._rows(_table(units, drawn, held))), pair)

        along, odds = np.zeros(len(begun)), odds_at(np.zeros(len(begun)))
        best, least = along, np.abs(odds)
        for _ in range(POLISHINGS):
            before, found = along, odds
            along = np.clip(along - odds / rate, -cell / 2, cell / 2)
            odds = odds_at(along)
            best, least = np.where(np.abs(odds) < least, along, best), np.minimum(np.abs(odds), least)
            gone = np.where(along == before, np.inf, along - before)
            secant = (odds - found) / gone
            # Between two places that are as good as right, a secant is the noise of rounding.
            rate = np.where(secant > 1e-6, secant, rate)
        units = np.clip(begun + best[:, None] * direction, 0.0, 1.0)
        moved = np.column_stack([axis.value(units[:, k]) for k, axis in enumerate(drawn)])
        return np.split(moved, np.cumsum([len(line) for line in lines])[:-1])

    def _where_they_lead(
        self, lines: list[Array], drawn: tuple[Axis, Axis], held: Mapping[str, float], pair: Pair
    ) -> list[Array]:
        """Return the parts of polylines on which no third regime is more likely than the two."""
        if not lines:
            return []
        points = np.concatenate(lines)
        table = pd.DataFrame({axis.name: points[:, k] for k, axis in enumerate(drawn)}).assign(**held)
        leads = _leads(self.ensemble.mixture(self._rows(table)), pair)
        parts = []
        for line, lead in zip(lines, np.split(leads, np.cumsum([len(line) for line in lines])[:-1]), strict=True):
            cuts = np.flatnonzero(np.diff(lead.astype(int))) + 1
            pieces = zip(np.split(line, cuts), np.split(lead, cuts), strict=True)
            parts += [part for part, on in pieces if on[0] and len(part) > 1]
        return parts

    def surface(self, pair: Pair, resolution: int) -> Surface:
        """Return where two regimes are equally likely, and none more, in a box of three axes."""
        if len(self.axes) != 3:
            raise DataError(f"a surface takes three axes; this map has {len(self.axes)}. Use boundary for two of them.")
        shape = (resolution,) * 3
        rows = self._rows(self.points(self.axes, {}, resolution))
        mixture = self.ensemble.mixture(rows)
        difference = np.where(_leads(mixture, pair), _log_odds(mixture, pair), np.nan)
        share, sure = side_share(self.ensemble, rows, pair)
        share = np.where(sure, share, np.nan).reshape(shape)
        vertices, faces = self._walls(difference.reshape(shape), (0.0,))
        bands = {level: self._walls(share, ends) for level, ends in geometry.BANDS.items()} if len(faces) else {}
        return Surface(
            first=NAMES[pair[0]],
            second=NAMES[pair[1]],
            axes=(self.axes[0], self.axes[1], self.axes[2]),
            vertices=vertices,
            faces=faces,
            bands=bands,
        )

    def _walls(self, values: Array, levels: tuple[float, ...]) -> tuple[Array, npt.NDArray[np.intp]]:
        """Return the vertices, in axis units, and faces of the surfaces at several levels of one field."""
        parts = [geometry.isosurface(values, level) for level in levels]
        starts = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
        faces = np.concatenate([faces + start for (_, faces), start in zip(parts, starts, strict=False)])
        units = np.concatenate([vertices for vertices, _ in parts])
        return np.column_stack([axis.value(units[:, k]) for k, axis in enumerate(self.axes)]), faces


def _table(units: Array, drawn: tuple[Axis, Axis], held: Mapping[str, float]) -> pd.DataFrame:
    """Return the points at (n, 2) coordinates of the drawn axes."""
    return pd.DataFrame({axis.name: axis.value(units[:, k]) for k, axis in enumerate(drawn)}).assign(**held)


def _leads(mixture: Array, pair: Pair) -> npt.NDArray[np.bool_]:
    """Return where no third regime is likelier than the likelier of two."""
    return np.asarray(mixture[:, list(pair)].max(axis=1) >= np.delete(mixture, list(pair), axis=1).max(axis=1))


def _log_odds(mixture: Array, pair: Pair) -> Array:
    """Return the logarithm of the ratio of two regimes: nearly straight across an edge where probabilities leap."""
    first, second = np.maximum(mixture[:, list(pair)].T, 1e-6)
    return np.asarray(np.log(first / second))
