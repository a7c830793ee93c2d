"""Axes of a map: which column, on which scale, and how values become coordinates in a unit box.

Zero on a logarithmic axis (decay 0) is a category of its own: it gets the box's lower edge and a flag beside it, so
that "no decay" may differ from "very little decay" as much as the runs say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.runs.cells import numbers
from grokcore.errors import DataError, unknown_name

Array = npt.NDArray[np.float64]
Scale = Literal["linear", "log"]
Box = Mapping[str, tuple[float, float]]
"""Lower and upper ends of axes, by column: the ranges over which runs were chosen."""
SCALES: tuple[Scale, ...] = ("linear", "log")
MOST_LEVELS = 6
"""Different values up to which an axis is cut at the values that runs have, not in between."""
LARGEST = 1e100
"""Largest size of a value on an axis: squares and differences of such are still numbers."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis of a map and its range."""

    name: str
    """The column of the run table, as "optimizer.decay"."""
    scale: Scale
    """On which scale equal distances count equally."""
    low: float
    """Lower end of the box: that of the sweep, or the runs' smallest value (above 0 on a logarithmic axis)."""
    high: float
    """Upper end of the box."""
    zero: bool = False
    """Whether some run has 0 on a logarithmic axis."""
    levels: tuple[float, ...] = ()
    """The values that the runs have, where they are at most `MOST_LEVELS`: between them nothing was trained."""

    @property
    def short(self) -> str:
        """Return the last part of the name, as "decay"."""
        return self.name.rpartition(".")[2]

    def _scaled(self, values: npt.ArrayLike) -> Array:
        values = np.asarray(values, dtype=float)
        if self.scale == "linear":
            return values
        return cast("Array", np.log10(np.where(values > 0, values, self.low)))

    def unit(self, values: npt.ArrayLike) -> Array:
        """Return coordinates that are 0 at `low` and 1 at `high`; zero on a logarithmic axis is put at 0."""
        ends = self._scaled([self.low, self.high])
        return np.asarray((self._scaled(values) - ends[0]) / (ends[1] - ends[0]))

    def value(self, units: npt.ArrayLike) -> Array:
        """Return the values at coordinates, the inverse of `unit`."""
        ends = self._scaled([self.low, self.high])
        scaled = ends[0] + np.asarray(units, dtype=float) * (ends[1] - ends[0])
        return scaled if self.scale == "linear" else cast("Array", 10.0**scaled)

    def grid(self, count: int) -> Array:
        """Return `count` values from `low` to `high`, equally spaced on the axis's scale."""
        return np.clip(self.value(np.linspace(0.0, 1.0, count)), self.low, self.high)

    @property
    def width(self) -> float:
        """Return the length of the box on the axis's scale: in axis units, or in factors of ten."""
        ends = self._scaled([self.low, self.high])
        return float(ends[1] - ends[0])

    @property
    def middle(self) -> float:
        """Return the value in the middle of the box, on the axis's scale; of few values the one nearest to it."""
        if self.levels:
            return min(self.levels, key=lambda value: abs(float(self.unit(value)) - 0.5))
        return float(self.value(0.5))


def column_of(name: str, columns: Iterable[str]) -> str:
    """Return the column that `name` means: itself, or the only one that ends in ``.name``; raises `DataError`."""
    columns = [str(column) for column in columns]
    if name in columns:
        return name
    matches = [column for column in columns if column.endswith(f".{name}")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise DataError(f"axis {name!r} could be {' or '.join(sorted(matches))}; write the whole name.")
    raise DataError(unknown_name("axis", name, columns))


def make_axes(table: pd.DataFrame, scales: Mapping[str, str], box: Box | None = None) -> tuple[Axis, ...]:
    """Return the axes of `scales` (name to "linear" or "log") with their ranges: those of `box` and of the runs.

    Raises `DataError`, with every complaint at once, for an axis that is not in the table, is not numeric, has holes,
    has one value only, or is logarithmic with negative values.
    """
    if not scales:
        raise DataError('axes is empty; give at least one, as {"fraction": "linear", "decay": "log"}.')
    axes, complaints = [], []
    for given, scale in scales.items():
        try:
            axes.append(_axis(table, given, scale, box or {}))
        except DataError as error:
            complaints.append(str(error))
    names = [axis.name for axis in axes]
    complaints += [f"axis {name} is given twice." for name in dict.fromkeys(names) if names.count(name) > 1]
    if complaints:
        raise DataError("\n".join(complaints))
    return tuple(axes)


def _axis(table: pd.DataFrame, given: str, scale: str, box: Box) -> Axis:
    if scale not in SCALES:
        raise DataError(f'axis {given!r}: scale {scale!r} is not known; use "linear" or "log", or "categorical".')
    name = column_of(given, table.columns)
    values = numbers(table, name)
    if scale == "log" and (values < 0).any():
        row = table.index[int(np.argmin(values))]
        raise DataError(
            f"axis {name}: {values.min():g} (row {row}) is negative on a logarithmic axis; use scale linear."
        )
    ranged = values[values > 0] if scale == "log" else values
    if len(np.unique(ranged)) < 2:
        only = ", ".join(f"{value:g}" for value in np.unique(values)) or "none"
        raise DataError(
            f"axis {name}: has too few values to span an axis ({only}) in {len(values)} runs; leave it out, or vary it."
        )
    if max(abs(ranged.min()), abs(ranged.max())) > LARGEST or (scale == "log" and ranged.min() < 1 / LARGEST):
        raise DataError(
            f"axis {name}: goes from {ranged.min():g} to {ranged.max():g}; sizes up to {LARGEST:g} can be drawn"
            f"{f', and from {1 / LARGEST:g} on a logarithmic axis' if scale == 'log' else ''}. Mend or drop such rows."
        )
    ends = [*ranged, *(end for end in box.get(name, ()) if scale == "linear" or end > 0)]
    return Axis(
        name=name,
        scale=scale,
        low=float(min(ends)),
        high=float(max(ends)),
        zero=bool(scale == "log" and (values == 0).any()),
        levels=few_levels(values),
    )


def few_levels(values: npt.ArrayLike) -> tuple[float, ...]:
    """Return the different values in order if they are at most `MOST_LEVELS`, else none."""
    unique = np.unique(np.asarray(values, dtype=float))
    return tuple(float(value) for value in unique) if len(unique) <= MOST_LEVELS else ()


def are_powers(values: npt.ArrayLike) -> bool:
    """Say whether a few values follow each other by powers of two or of ten, as widths 16, 64 do; such are log."""
    levels = np.array(few_levels(values))
    if len(levels) < 2 or levels[0] <= 0:
        return False
    ratios = levels[1:] / levels[:-1]
    whole = bool((levels == np.round(levels)).all())
    powers = any(np.allclose(found := log(ratios), np.round(found), atol=1e-9) for log in (np.log2, np.log10))
    return powers and (whole or len(levels) > 2)


def feature_count(axes: Sequence[Axis]) -> int:
    """Return the number of columns of `features`."""
    return len(axes) + sum(axis.zero for axis in axes)


def features(axes: Sequence[Axis], points: pd.DataFrame, code: npt.ArrayLike = ()) -> Array:
    """Return (n, D) coordinates of `points`: one per axis, one flag per axis that holds zeros, then `code` in each row.

    `code` stands for a level of categories.
    """
    columns, flags = [], []
    for axis in axes:
        name = axis.name if axis.name in points.columns else column_of(axis.short, points.columns)
        values = numbers(points, name)
        if axis.scale == "log" and (values <= 0).any() and not (axis.zero and (values >= 0).all()):
            low = values.min()
            raise DataError(
                f"axis {axis.name}: asked at {low:g}, but no run is at 0; ask within {axis.low:g}–{axis.high:g}."
            )
        columns.append(axis.unit(values))
        if axis.zero:
            flags.append((values == 0).astype(float))
    found = np.column_stack(columns + flags) if len(points) else np.zeros((0, len(columns) + len(flags)))
    return np.column_stack([found, np.tile(np.asarray(code, dtype=float), (len(points), 1))])
