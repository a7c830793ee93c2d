"""A map on a regular grid over all its axes at once: what the page, the tables and the NetCDF file are cut from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from grokcore.records.regimes import REGIMES

if TYPE_CHECKING:
    from analysis.maps.regime_map import RegimeMap
    from analysis.runs.axes import Axis

GRID_POINTS = 15_700
"""Points over all axes together: fine enough to interpolate between, few enough to carry in a page."""


@dataclass(frozen=True, kw_only=True)
class MapGrid:
    """A map's values on a grid; rows of the tables follow the grids' product, the last axis fastest."""

    axes: tuple[Axis, ...]
    """The map's axes."""
    grids: tuple[npt.NDArray[np.float64], ...]
    """Each axis's values; one that has a category zero begins with it."""
    points: pd.DataFrame
    """One column per axis."""
    probabilities: pd.DataFrame
    """One column per regime."""
    uncertainty: pd.DataFrame
    """Bits: total, epistemic, seeds."""
    milestones: pd.DataFrame
    """Posterior of the milestones' log10 steps at the rule's threshold."""
    outcomes: pd.DataFrame
    """Probability of each outcome that some run had."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the number of values along each axis."""
        return tuple(len(grid) for grid in self.grids)

    @property
    def neighbours(self) -> list[tuple[str, str]]:
        """Return the pairs of regimes that are likeliest at two neighbouring points somewhere."""
        regime = self.probabilities.to_numpy().argmax(axis=1).reshape(self.shape)
        found: set[tuple[int, int]] = set()
        for axis, length in enumerate(self.shape):
            a, b = regime.take(range(1, length), axis), regime.take(range(length - 1), axis)
            pairs = np.sort(np.stack([a[a != b], b[a != b]], axis=1), axis=1)
            found |= {(int(first), int(second)) for first, second in np.unique(pairs, axis=0)}
        return [(str(REGIMES[a]), str(REGIMES[b])) for a, b in sorted(found)]

    def surface(self, first: str, second: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
        """Return vertices (V, 3) in axis units and triangles where two regimes are equally likely and none is more."""
        from analysis.maps.geometry import isosurface

        chance = self.probabilities
        rivals = chance.drop(columns=[first, second]).max(axis=1)
        lead = chance[[first, second]].max(axis=1) >= rivals
        difference = (chance[first] - chance[second]).where(lead).to_numpy().reshape(self.shape)
        # A category zero is beside the box, not in it.
        inside = tuple(slice(int(axis.zero), None) for axis in self.axes)
        units, faces = isosurface(difference[inside], 0.0)
        return np.column_stack([axis.value(units[:, k]) for k, axis in enumerate(self.axes)]), faces

    def table(self) -> pd.DataFrame:
        """Return one row per point: axes, regimes' probabilities, the likeliest regime, uncertainty, milestones."""
        likeliest = [str(REGIMES[i]) for i in self.probabilities.to_numpy().argmax(axis=1)]
        probabilities = self.probabilities.assign(regime=likeliest)
        parts = [self.points, probabilities, self.uncertainty, self.milestones, self.outcomes]
        return pd.concat([part.reset_index(drop=True) for part in parts], axis="columns")


def map_grid(fitted: RegimeMap) -> MapGrid:
    """Evaluate a map on a regular grid of at most about `GRID_POINTS` points."""
    axes = fitted.axes
    count = 241 if len(axes) == 1 else max(5, min(81, int(GRID_POINTS ** (1 / len(axes)))))
    grids = tuple(_grid(axis, count) for axis in axes)
    mesh = np.meshgrid(*grids, indexing="ij")
    points = pd.DataFrame({axis.name: values.ravel() for axis, values in zip(axes, mesh, strict=True)})
    outcomes = fitted.outcomes(points)
    return MapGrid(
        axes=axes,
        grids=grids,
        points=points,
        probabilities=fitted.probabilities(points),
        uncertainty=fitted.uncertainty(points),
        milestones=fitted.milestones(points),
        outcomes=outcomes.loc[:, (outcomes > 0).any()],
    )


def _grid(axis: Any, count: int) -> npt.NDArray[np.float64]:
    grid = axis.grid(count)
    return np.concatenate([[0.0], grid]) if axis.scale == "log" and axis.zero else np.asarray(grid)
