"""What a map's figure shows: which panels there are, where they are cut, and the caption that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.figures import plane
from analysis.figures.base import Style, number, pretty
from analysis.figures.marks import MARKS, mark_of, regimes_drawn
from grokcore.errors import DataError
from grokcore.records.regimes import REGIMES, Regime, RegimeRule

if TYPE_CHECKING:
    from analysis.maps.geometry import Boundary, MapSlice
    from analysis.maps.regime_map import RegimeMap
    from analysis.runs.axes import Axis


SLICES = (1 / 6, 1 / 2, 5 / 6)
"""Where a third axis of many values is cut when no slice is named: the middles of its thirds."""
MOST_PANELS = 12
"""Panels beyond which a third axis is cut in one place only, so that each level of a category has its panel."""
ABREAST = 3
"""Panels in one row at most, unless a row is the slices of one level."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One slice of the map."""

    at: Mapping[str, float]
    """The axes that are held fixed, by name."""
    level: Mapping[str, str]
    """The level of each category, by name."""
    cells: MapSlice
    """Probabilities on the slice's grid."""
    boundaries: Sequence[Boundary]
    """The boundaries that run through the slice."""
    strips: Mapping[str, npt.NDArray[np.float64]]
    """Probabilities (n, 4) along the zero category of "x" or "y", where that axis has one."""
    runs: pd.DataFrame
    """The runs drawn here, with unit positions `x`, `y` and a `mark` (a key of `MARKS`)."""

    @property
    def title(self) -> str:
        """Return the panel's level and slice in words; empty where the map is all in one panel."""
        words = [f"{pretty(name)} {text}" for name, text in self.level.items()]
        return ", ".join([*words, *(f"{pretty(name)} {number(value)}" for name, value in self.at.items())])


@dataclass(frozen=True, kw_only=True)
class MapFigure:
    """What the map's figure shows."""

    x: Any
    """The horizontal axis (`analysis.Axis`)."""
    y: Any
    """The vertical axis."""
    panels: tuple[Panel, ...]
    """One per level of the categories and slice, the slices of a level together."""
    slices: int
    """Panels of one level."""
    rule: RegimeRule
    """The rule the regimes follow."""
    caption: str
    """Rule, budget, number of runs, levels, slices, weights and warnings, in words."""

    @property
    def title(self) -> str:
        """Return what the figure is: regimes, over which axes."""
        return f"Regimes over {pretty(self.x.name)} and {pretty(self.y.name)}"

    @property
    def regimes(self) -> list[Regime]:
        """Return the regimes that are seen in a panel."""
        return regimes_drawn(
            [panel.cells.probabilities for panel in self.panels], [panel.runs for panel in self.panels]
        )

    def places(self, style: Style) -> list[tuple[int, int]]:
        """Return the row and column of each panel: every level begins a row where it has several slices."""
        count = len(self.panels)
        if style.stacked:
            return [divmod(index, style.abreast(count)) for index in range(count)]
        if self.slices in {1, count}:
            abreast = 2 if count == 4 else min(count, ABREAST)
            return [divmod(index, abreast) for index in range(count)]
        abreast = self.slices if self.slices <= ABREAST + 1 else ABREAST
        rows = -(-self.slices // abreast)
        return [
            (index // self.slices * rows + index % self.slices // abreast, index % self.slices % abreast)
            for index in range(count)
        ]


def info(
    fitted: RegimeMap,
    x: str | None = None,
    y: str | None = None,
    at: Mapping[str, Any] | None = None,
    resolution: int = 51,
) -> MapFigure:
    """Gather the figure of `fitted` over axes `x` and `y` (the first two of many values, unless named).

    `at` holds other axes fixed, and categories at a level. Raises `DataError` when the map has fewer than two axes, or
    `x` and `y` are the same.
    """
    first, second = chosen_axes(fitted, x, y)
    given = fitted.numbers_at(at)
    free = [axis for axis in fitted.axes if axis.name not in {first.name, second.name, *given}]
    maps = levels_drawn(fitted, at)
    cuts = _cuts(free[0]) if free else []
    if len(maps) * len(cuts) > MOST_PANELS:
        cuts = [free[0].middle]
    panels = []
    for one in maps:
        owner = _nearest(one.runs, free[0], cuts) if cuts else np.zeros(len(one.runs), dtype=np.intp)
        for index, cut in enumerate(cuts or [None]):
            held = given | ({} if cut is None else {free[0].name: cut})
            held |= {axis.name: axis.middle for axis in free[1:]}
            panels.append(_panel(one, first, second, held, one.runs[owner == index], resolution))
    return MapFigure(
        x=first,
        y=second,
        panels=tuple(panels),
        slices=max(len(cuts), 1),
        rule=fitted.rule,
        caption=map_caption(
            fitted,
            [panel.at for panel in panels],
            [panel.level for panel in panels],
            edges=any(panel.boundaries for panel in panels),
        ),
    )


def levels_drawn(fitted: RegimeMap, at: Mapping[str, Any] | None = None) -> list[RegimeMap]:
    """Return the maps of the levels that `at` leaves, in order; the map itself where it has no categories."""
    asked = {
        category.name: category.level(at[name])
        for category in fitted.categories
        for name in (category.name, category.short)
        if at and name in at
    }
    found = [one for one in fitted.parts.values() if asked.items() <= one.fixed.items()]
    if fitted.parts and not found:
        raise DataError(f"no run is at {', '.join(asked.values())}.")
    return found or [fitted]


def _cuts(axis: Axis) -> list[float]:
    """Return where an axis is cut: at the values that runs have where they are few, else in the middles of thirds."""
    return list(axis.levels) or [plane.value_at(axis, unit) for unit in SLICES]


def chosen_axes(fitted: RegimeMap, x: str | None, y: str | None) -> tuple[Axis, Axis]:
    """Return the two axes to draw over; raises `DataError` when there are not two different ones."""
    if len(fitted.axes) < 2:
        raise DataError(f"a map over {fitted.axes[0].name} alone has no plane to draw; see analysis.figures.profile.")
    # An axis of few values is better cut at them than drawn along.
    axes = sorted(fitted.axes, key=lambda axis: bool(axis.levels))
    first = fitted.axis(x) if x else next(a for a in axes if y is None or a.name != fitted.axis(y).name)
    second = fitted.axis(y) if y else next(a for a in axes if a.name != first.name)
    if first.name == second.name:
        raise DataError(f"x and y are both {first.name}; name two different axes of {[a.name for a in fitted.axes]}.")
    return first, second


def _nearest(runs: pd.DataFrame, axis: Axis, cuts: Sequence[float]) -> npt.NDArray[np.intp]:
    """Return, per run, the index of the nearest cut of an axis."""
    units, places = plane.position(axis, runs[axis.name]), plane.position(axis, cuts)
    return np.asarray(np.abs(units[:, None] - places[None, :]).argmin(1))


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
        level=fitted.fixed,
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


def map_caption(
    fitted: RegimeMap,
    slices: Sequence[Mapping[str, float]],
    levels: Sequence[Mapping[str, str]] = (),
    *,
    edges: bool = True,
) -> str:
    """Return a map's caption: its rule, runs, levels, slices, whether there are `edges`, its model, every warning."""
    runs = fitted.runs
    marks = pd.Series(mark_of(runs)).value_counts()
    counts = "; ".join(f"{marks[name]} {name.replace(': ', ', ')}" for name in MARKS if name in marks)
    number_of_seeds = runs["seed"].nunique() if "seed" in runs.columns else 0
    seeds = f", {number_of_seeds} {'seed' if number_of_seeds == 1 else 'seeds'}" if number_of_seeds else ""
    held = sorted({name for at in slices for name in at})
    sliced = "; ".join(f"{pretty(n)} = {', '.join(number(at[n]) for at in _distinct(slices, n))}" for n in held)
    text = f"Rule: {fitted.rule.sentence()}. {len(runs)} runs{seeds}: {counts}."
    for name in dict.fromkeys(name for level in levels for name in level):
        text += f" {pretty(name).capitalize()}: {', '.join(dict.fromkeys(level[name] for level in levels))}."
    if sliced:
        several = any(len(_distinct(slices, name)) > 1 for name in held)
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
