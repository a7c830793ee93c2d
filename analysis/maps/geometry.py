"""The geometry of a map: slices, boundaries with bands in two dimensions, surfaces in three."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.runs.axes import Array, Axis

BANDS: dict[float, tuple[float, float]] = {0.5: (0.25, 0.75), 0.9: (0.05, 0.95)}
"""Bands by their probability: where the share of posterior draws on the first side lies between these."""


@dataclass(frozen=True, kw_only=True)
class MapSlice:
    """A map on a grid over two axes, the others held."""

    x: Axis
    y: Axis
    at: dict[str, float]
    """Values of the other axes, by column."""
    grid_x: Array
    """(nx,) in axis units."""
    grid_y: Array
    """(ny,) in axis units."""
    probabilities: Array
    """(ny, nx, 4) in the order of `REGIMES`."""
    epistemic: Array
    """(ny, nx) bits that more runs would remove."""
    seeds: Array
    """(ny, nx) bits that stay, since seeds differ."""
    outcomes: dict[str, Array]
    """Probability (ny, nx) that a run diverges, fails, turns unstable or forgets."""

    @property
    def regime(self) -> npt.NDArray[np.intp]:
        """Return (ny, nx): the index of the most probable regime."""
        return np.asarray(self.probabilities.argmax(axis=-1))


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """Where two regimes are equally likely in a slice, and where that edge may lie."""

    first: str
    second: str
    x: Axis
    y: Axis
    at: dict[str, float]
    """Values of the other axes, by column."""
    curves: list[Array]
    """Polylines (n, 2) in axis units; none when the two do not meet in this box."""
    bands: dict[float, list[Array]]
    """Outlines of the region that holds the edge with probability .5 and .9, in axis units."""
    grid_x: Array
    grid_y: Array
    share: Array
    """(ny, nx) probability that the median run is on the first side; NaN where neither regime matters."""

    def __repr__(self) -> str:
        held = "".join(f", {name} = {value:g}" for name, value in self.at.items())
        return f"<Boundary over {self.x.name} and {self.y.name}{held}: {self.sentence}>"

    @property
    def sentence(self) -> str:
        """Return in words whether there is an edge."""
        if not self.curves:
            return f"no boundary between {self.first} and {self.second} in this box"
        return f"{self.first} and {self.second} are equally likely along {len(self.curves)} curve(s)"

    def table(self) -> pd.DataFrame:
        """Return all points as rows: first, second, kind (edge, band50, band90), line (a number), and the two axes."""
        rows = [("edge", line, points) for line, points in enumerate(self.curves)]
        for level, lines in self.bands.items():
            rows += [(f"band{round(100 * level)}", line, points) for line, points in enumerate(lines)]
        parts = [
            pd.DataFrame({"kind": kind, "line": line, self.x.name: points[:, 0], self.y.name: points[:, 1]})
            for kind, line, points in rows
        ]
        columns = ["kind", "line", self.x.name, self.y.name]
        table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
        table.insert(0, "first", self.first)
        table.insert(1, "second", self.second)
        return table


@dataclass(frozen=True, kw_only=True)
class Surface:
    """Where two regimes are equally likely in a box of three axes, as triangles."""

    first: str
    second: str
    axes: tuple[Axis, Axis, Axis]
    vertices: Array
    """(V, 3) in axis units."""
    faces: npt.NDArray[np.intp]
    """(F, 3) rows of `vertices`."""
    bands: dict[float, tuple[Array, npt.NDArray[np.intp]]] = field(default_factory=dict)
    """Both walls of the band of each probability, as vertices and faces."""

    @property
    def sentence(self) -> str:
        """Return in words whether there is a surface."""
        if not len(self.faces):
            return f"no boundary between {self.first} and {self.second} in this box"
        return f"{self.first} and {self.second} are equally likely on a surface of {len(self.faces)} triangles"


def trace(x: Axis, y: Axis, field_yx: Array, level: float) -> list[Array]:
    """Return the polylines (n, 2), in axis units, on which a (ny, nx) field over the box equals `level`."""
    from contourpy import contour_generator

    ny, nx = field_yx.shape
    lines: Any = contour_generator(
        np.linspace(0.0, 1.0, nx), np.linspace(0.0, 1.0, ny), np.ma.masked_invalid(field_yx)
    ).lines(level)
    return [np.column_stack([x.value(line[:, 0]), y.value(line[:, 1])]) for line in lines if len(line) > 1]


def outlines(x: Axis, y: Axis, share: Array, band: tuple[float, float]) -> list[Array]:
    """Return closed outlines, in axis units, of where a (ny, nx) share lies within the band."""
    from contourpy import FillType, contour_generator

    ny, nx = share.shape
    generator = contour_generator(
        np.linspace(0.0, 1.0, nx), np.linspace(0.0, 1.0, ny), np.ma.masked_invalid(share), fill_type=FillType.OuterCode
    )
    filled: Any = generator.filled(*band)
    polygons, codes = filled
    found = []
    for points, code in zip(polygons, codes, strict=True):
        starts = [*np.flatnonzero(code == 1), len(points)]
        found += [points[a:b] for a, b in itertools.pairwise(starts)]
    return [np.column_stack([x.value(part[:, 0]), y.value(part[:, 1])]) for part in found if len(part) > 2]


_CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]])
_TETRAHEDRA = np.array([[0, 1, 3, 7], [0, 1, 5, 7], [0, 2, 3, 7], [0, 2, 6, 7], [0, 4, 5, 7], [0, 4, 6, 7]])


def isosurface(values: Array, level: float) -> tuple[Array, npt.NDArray[np.intp]]:
    """Return vertices (V, 3) in [0, 1]³ and faces (F, 3) where an (n0, n1, n2) field equals `level`.

    Marching tetrahedra, six to a cell; cells with a NaN corner are left out.
    """
    shape = np.array(values.shape)
    cells = np.stack(np.meshgrid(*(np.arange(n - 1) for n in shape), indexing="ij"), axis=-1).reshape(-1, 3)
    corners = np.ravel_multi_index(tuple((cells[:, None, :] + _CORNERS).transpose(2, 0, 1)), values.shape)
    flat = values.ravel() - level
    whole = np.isfinite(flat[corners]).all(axis=1)
    nodes = corners[whole][:, _TETRAHEDRA].reshape(-1, 4)
    inside = flat[nodes] > 0
    count = inside.sum(axis=1)
    # Order each tetrahedron's corners with those inside first.
    nodes = np.take_along_axis(nodes, np.argsort(~inside, axis=1, kind="stable"), axis=1)
    one, two, three = nodes[count == 1], nodes[count == 2], nodes[count == 3]
    edges = np.concatenate(
        [
            one[:, [[0, 1], [0, 2], [0, 3]]],
            three[:, [[3, 0], [3, 1], [3, 2]]],
            two[:, [[0, 2], [0, 3], [1, 2]]],
            two[:, [[0, 3], [1, 3], [1, 2]]],
        ]
    ).reshape(-1, 2)
    unique, faces = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True)
    a, b = unique.T
    where = flat[a] / (flat[a] - flat[b])
    start, end = (np.stack(np.unravel_index(node, values.shape), axis=1) for node in (a, b))
    vertices = (start + where[:, None] * (end - start)) / (shape - 1)
    return vertices, np.asarray(faces).reshape(-1, 3)


def others(axes: tuple[Axis, ...], drawn: tuple[Axis, ...], at: Mapping[str, float]) -> dict[str, float]:
    """Return a value for every axis that is not drawn, by column; the middle of its box where none is given."""
    return {axis.name: float(at.get(axis.name, axis.middle)) for axis in axes if axis not in drawn}
