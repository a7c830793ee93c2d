"""How a boundary moved between two sweeps: by how much along one axis, with an interval, in a plain sentence.

The shift is the mean, over the other axes, of the difference between the places where the two maps cross from one
regime to the other. Its interval comes from refitting both maps to resampled runs. Where both sweeps have runs at the
same places with the same seeds, pairs of them are drawn, and where they only share seeds, whole seeds, the same ones on
both sides: what a place or a seed does to both is then not counted as a difference.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from scipy.stats import qmc

from analysis.maps.boundaries import NAMES
from analysis.maps.regime_map import RegimeMap
from analysis.runs.axes import Array, Axis
from grokcore.errors import DataError, unknown_name

LINES = 32
"""Lines along the axis on which crossings are looked for."""
STEPS = 41
"""Points per line."""
RESAMPLES = 40
"""Refits behind an interval; its width is then good to about a tenth."""
FEWEST_SEEDS = 3
"""Shared seeds below which drawing them says nothing of how seeds differ."""
PAIRED = 0.8
"""Share of the larger sweep's runs that must have a partner in the other before pairs are drawn."""
FEWEST_LINES = 5
"""Lines on which both maps must cross before a shift is stated."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How the edge between two regimes moved along an axis, from map A to map B."""

    first: str
    second: str
    axis: Axis
    """The axis along which the shift is measured, over the part of its range both maps cover."""
    shift: float
    """Mean shift: in axis units on a linear axis, in log10 of them on a logarithmic one."""
    low: float
    high: float
    """95 % interval of the shift."""
    lines: int
    """Lines, of `LINES`, on which both maps cross."""
    paired_runs: int
    """Runs at places and with seeds that both sweeps have, resampled together; 0 where few are."""
    paired_seeds: int
    """Seeds that both sweeps have, resampled together; 0 where runs were paired, or resampled apart."""
    table: pd.DataFrame
    """One row a line: the other axes' values, `first_edge` in A and `second_edge` in B, in axis units."""
    same_rule: bool
    """Whether both maps were made under the same rule."""

    def __repr__(self) -> str:
        return f"<Comparison: {self.sentence}>"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.sentence)}</p>{self.table.to_html(float_format='{:.3g}'.format, border=0, max_rows=8)}"

    @property
    def sentence(self) -> str:
        """Return the finding in plain words."""
        name, edge = self.axis.short, f"the edge between {self.first} and {self.second}"
        if self.lines < FEWEST_LINES:
            return (
                f"{edge} is crossed along {name} in both maps on {self.lines} of {LINES} lines: no shift can be stated."
            )
        if self.axis.scale == "log":
            factors = [10**value for value in (self.shift, self.low, self.high)]
            size = f"by a factor of {factors[0]:.3g} (95 % interval {factors[1]:.3g} to {factors[2]:.3g})"
        else:
            size = f"by {self.shift:+.3g} (95 % interval {self.low:+.3g} to {self.high:+.3g})"
        how = "runs resampled apart"
        if self.paired_runs or self.paired_seeds:
            how = (
                f"paired over {self.paired_runs} runs" if self.paired_runs else f"paired over {self.paired_seeds} seeds"
            )
        moved = "moved" if self.low > 0 or self.high < 0 else "is not shown to have moved; it differs"
        rules = "" if self.same_rule else " The two maps have different rules."
        return f"from A to B {edge} {moved} along {name} {size}; {how}.{rules}"


def compare(
    first_map: RegimeMap,
    second_map: RegimeMap,
    *,
    regimes: tuple[str, str],
    along: str | None = None,
    at: Mapping[str, str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Return how the edge between two regimes moved along an axis (the maps' first) from one map to another.

    Of maps with categories `at` says the level; two levels of one map are compared as (m.level(a), m.level(b)).

    Raises `DataError` when the maps have different axes, ranges that do not overlap, or a regime is unknown.

    >>> import numpy as np
    >>> from analysis import RegimeMap, RegimeRule
    >>> def generalising_from(edge):
    ...     runs = pd.DataFrame({"fraction": np.linspace(0.2, 0.9, 24), "t_mem": 50, "t_mem_event": True})
    ...     runs = runs.assign(t_gen_event=runs.fraction > edge, t_gen=np.where(runs.fraction > edge, 900, 1000))
    ...     return RegimeMap.fit(runs, {"fraction": "linear"}, rule=RegimeRule(budget=1000, ratio=5))
    >>> first, second = generalising_from(0.4), generalising_from(0.6)
    >>> found = compare(first, second, regimes=("memorization", "grokking"), resamples=20)
    >>> round(found.shift, 1)
    0.2
    """
    for name in regimes:
        if name not in NAMES:
            raise DataError(unknown_name("regime", name, NAMES))
    first_map, second_map = first_map.level(at), second_map.level(at)
    axes = _common_axes(first_map.axes, second_map.axes)
    axis = next((a for a in axes if along in (None, a.name, a.short)), None)
    if axis is None:
        raise DataError(unknown_name("axis", along, [a.short for a in axes]))
    lines = _lines(axes, axis, seed)
    edges = [_crossings(one, regimes, axis, lines) for one in (first_map, second_map)]
    both = np.isfinite(edges[0]) & np.isfinite(edges[1])
    pairs = _pairs(first_map, second_map)
    shifts = []
    if both.sum() >= FEWEST_LINES:
        rng = np.random.default_rng(seed)
        for _ in range(resamples):
            again = _resampled(first_map, second_map, pairs, rng)
            moved = np.subtract(*[_crossings(one, regimes, axis, lines) for one in again[::-1]])
            moved = moved[both & np.isfinite(moved)]
            if len(moved):
                shifts.append(float(moved.mean()))
    shift = float((edges[1] - edges[0])[both].mean() * axis.width) if both.any() else float("nan")
    spread = 1.96 * float(np.std(shifts, ddof=1)) * axis.width if len(shifts) > 1 else float("nan")
    table = lines.assign(first_edge=axis.value(edges[0]), second_edge=axis.value(edges[1]))
    if len(lines.columns):
        table = table.sort_values(list(lines.columns), ignore_index=True)
    return Comparison(
        first=regimes[0],
        second=regimes[1],
        axis=axis,
        shift=shift,
        low=shift - spread,
        high=shift + spread,
        lines=int(both.sum()),
        paired_runs=0 if pairs.by_seed else len(pairs.shared),
        paired_seeds=len(pairs.shared) if pairs.by_seed else 0,
        table=table,
        same_rule=first_map.rule == second_map.rule,
    )


def _common_axes(first: Sequence[Axis], second: Sequence[Axis]) -> list[Axis]:
    """Return the axes over the ranges that both maps cover."""
    others = {axis.short: axis for axis in second}
    if {axis.short for axis in first} != set(others):
        mine, theirs = ", ".join(axis.short for axis in first), ", ".join(others)
        raise DataError(f"the maps have different axes ({mine} and {theirs}); compare maps over the same axes.")
    common = []
    for axis in first:
        other = others[axis.short]
        low, high = max(axis.low, other.low), min(axis.high, other.high)
        if axis.scale != other.scale or low >= high:
            raise DataError(
                f"axis {axis.short}: {axis.scale} {axis.low:g}–{axis.high:g} and "
                f"{other.scale} {other.low:g}–{other.high:g} do not overlap on one scale."
            )
        common.append(Axis(name=axis.name, scale=axis.scale, low=low, high=high))
    return common


def _lines(axes: Sequence[Axis], along: Axis, seed: int) -> pd.DataFrame:
    """Return values of the other axes, one row a line, spread over the box both maps cover."""
    others = [axis for axis in axes if axis is not along]
    if not others:
        return pd.DataFrame(index=range(1))
    units = qmc.Sobol(len(others), rng=np.random.default_rng(seed)).random(LINES)
    return pd.DataFrame({axis.name: axis.value(u) for axis, u in zip(others, units.T, strict=True)})


def _crossings(one: RegimeMap, regimes: tuple[str, str], along: Axis, lines: pd.DataFrame) -> Array:
    """Return, per line, the unit coordinate where the map changes between the two regimes; NaN where it does not.

    Where it changes more than once the first change counts.
    """
    where = np.linspace(0.0, 1.0, STEPS)
    points = lines.loc[lines.index.repeat(STEPS)].reset_index(drop=True)
    points[along.name] = np.tile(along.value(where), len(lines))
    points = points.rename(columns={column: column.rpartition(".")[2] for column in points.columns})
    chances = one.probabilities(points)
    difference = (chances[regimes[0]] - chances[regimes[1]]).to_numpy().reshape(len(lines), STEPS)
    third = chances.drop(columns=list(regimes)).max(axis=1).to_numpy().reshape(len(lines), STEPS)
    leads = chances[list(regimes)].max(axis=1).to_numpy().reshape(len(lines), STEPS) >= third
    change = (np.sign(difference[:, 1:]) != np.sign(difference[:, :-1])) & leads[:, 1:] & leads[:, :-1]
    at = change.argmax(axis=1)
    row = np.arange(len(lines))
    before, after = difference[row, at], difference[row, at + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = where[at] + before / (before - after) * (where[1] - where[0])
    return np.where(change.any(axis=1), crossing, np.nan)


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    """What both sweeps have and is drawn together: runs at one place with one seed, or all runs of a seed."""

    by_seed: bool
    shared: list[Hashable]
    keys: tuple[pd.Series, pd.Series]
    """Per row of each sweep's table, what it belongs to."""


def _pairs(first: RegimeMap, second: RegimeMap) -> _Pairs:
    """Return how runs of the two sweeps go together; nothing is shared where they do not."""
    tables = (first.checked.table, second.checked.table)
    if not all("seed" in table.columns for table in tables):
        return _Pairs(by_seed=True, shared=[], keys=(pd.Series(), pd.Series()))
    places = [_places(one) for one in (first, second)]
    shared = sorted(set(places[0]) & set(places[1]))
    if len(shared) >= PAIRED * max(map(len, tables)):
        return _Pairs(by_seed=False, shared=shared, keys=(places[0], places[1]))
    seeds = sorted(set(tables[0]["seed"]) & set(tables[1]["seed"]))
    return _Pairs(
        by_seed=True, shared=seeds if len(seeds) >= FEWEST_SEEDS else [], keys=(tables[0]["seed"], tables[1]["seed"])
    )


def _places(one: RegimeMap) -> pd.Series:
    """Return, per row of a map's table, its place on the axes and its seed."""
    table = one.checked.table
    columns = [table[axis.name].round(12) for axis in sorted(one.axes, key=lambda axis: axis.short)]
    return pd.Series(list(zip(*columns, table["seed"], strict=True)), index=table.index)


def _resampled(
    first: RegimeMap, second: RegimeMap, pairs: _Pairs, rng: np.random.Generator
) -> tuple[RegimeMap, RegimeMap]:
    """Return both maps refitted to a bootstrap sample: of what they share where there is such, of runs otherwise."""
    shared = pairs.shared
    drawn = [shared[int(index)] for index in rng.choice(len(shared), len(shared))] if shared else None
    return _refitted(first, pairs.keys[0], drawn, pairs, rng), _refitted(second, pairs.keys[1], drawn, pairs, rng)


def _refitted(
    one: RegimeMap, keys: pd.Series, drawn: list[Hashable] | None, pairs: _Pairs, rng: np.random.Generator
) -> RegimeMap:
    if drawn is None:
        count = len(one.checked.table)
        return one.resampled(rng.integers(count, size=count))
    rows = keys.reset_index(drop=True).groupby(keys.to_numpy()).indices
    rest = np.flatnonzero(~keys.isin(pairs.shared))
    return one.resampled(np.concatenate([*(rows[key] for key in drawn), rest]))
