"""RegimeMap: from a table of runs to the probability of each regime everywhere and boundaries with bands.

A map with categories (the transform's name, say) is made of one map over the numeric axes for each of their levels;
what is asked of it at points is asked of the maps of the points' levels, and a slice is one level's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.maps.boundaries import NAMES, BoundaryFinder, regime_pair
from analysis.maps.geometry import Boundary, MapSlice, Surface
from analysis.maps.levels import LevelEnsembles, fit_levels, refit_levels
from analysis.maps.views import MapViews
from analysis.models.cores import single_threaded
from analysis.models.ensemble import MOST_LEARNED, Ensemble
from analysis.runs.axes import Array, Box, features
from analysis.runs.categories import (
    Category,
    Level,
    level_rows,
    make_categories,
    split_scales,
    unexplained,
)
from analysis.runs.censoring import completed
from analysis.runs.run_table import Runs, check_budget, check_runs
from grokcore.records.regimes import RegimeRule


@dataclass(frozen=True, kw_only=True, eq=False)
class RegimeMap(MapViews):
    """A fitted map; made by `fit`, relabelled by `under`.

    >>> import numpy as np, pandas as pd
    >>> from analysis import RegimeRule
    >>> runs = pd.DataFrame({"fraction": np.linspace(0.2, 0.9, 24), "t_mem": 50, "t_mem_event": True})
    >>> runs["t_gen_event"] = runs.fraction > 0.4
    >>> runs["t_gen"] = np.where(runs.t_gen_event, 900, 1000)
    >>> m = RegimeMap.fit(runs, {"fraction": "linear"}, rule=RegimeRule(budget=1000, ratio=5))
    >>> m
    <RegimeMap of 24 runs over fraction; accuracy ≥ 0.9 within 1,000 steps; grokking if t_gen ≥ 5 × t_mem>
    >>> m.regimes(fraction=[0.25, 0.8]).tolist()
    ['memorization', 'grokking']
    """

    def __repr__(self) -> str:
        axes = ", ".join([*(axis.name for axis in self.axes), *(category.name for category in self.categories)])
        return f"<RegimeMap of {len(self.runs):,} runs over {axes}; {self.rule.sentence()}>"

    @classmethod
    @single_threaded()
    def fit(
        cls,
        frame: pd.DataFrame,
        axes: Mapping[str, str],
        *,
        rule: RegimeRule,
        seed: int = 0,
        previous: RegimeMap | None = None,
        box: Box | None = None,
        brief: bool = False,
    ) -> Self:
        """Fit a map to runs.

        `frame` has the axes' columns and t_mem, t_mem_event, t_gen, t_gen_event; `axes` says for each axis "linear",
        "log" or "categorical", by its column or the last part of its name. `previous`, a map of fewer of the runs,
        gives the starting point of the search for hyperparameters. The map covers the range of the runs, and that of
        `box` where a column is named there. Raises `DataError` for data that no honest map can be made of.

        A `brief` fit looks for no jumps and holds no runs out to weigh the models, which takes a tenth of the time: for
        a search that has just begun. With categories all is learned in any case, as what levels share is.
        """
        numeric, named = split_scales(axes)
        frame, notes = completed(frame, rule.budget)
        checked = check_runs(frame, numeric, rule.threshold, box)
        categories = make_categories(checked.table, named)
        if len(checked.table) > MOST_LEARNED:
            notes.append(f"The models learn from at most {MOST_LEARNED:,} of the runs, drawn at random.")
        warnings = [*checked.warnings, *check_budget(checked, rule), *_unmapped(checked, categories)]
        whole = cls(
            checked=checked,
            scales=dict(axes),
            source=frame,
            rule=rule,
            seed=seed,
            warnings=tuple(warnings),
            categories=categories,
            box=box,
            notes=tuple(notes),
        )
        points = features(checked.axes, checked.table)
        same = previous is not None and previous.scales == whole.scales
        if categories:
            return whole._with_levels(points, previous.levels if previous is not None and same else None)
        if brief:
            return dataclasses.replace(whole, own=Ensemble.briefly(checked, points, rule, seed))
        start = previous.own if previous is not None and same else None
        if start is not None and start.features != points.shape[1]:
            start = None
        return dataclasses.replace(whole, own=Ensemble.fit(checked, points, rule, seed, start))

    def _with_levels(self, points: Array, start: LevelEnsembles | None) -> Self:
        """Return this map with the maps of its levels, fitted to feature rows."""
        rows = level_rows(self.checked.table, self.categories)
        return self._at_levels(
            fit_levels(self.checked, points, rows, self.categories, self.rule, self.seed, start), rows
        )

    def _at_levels(self, levels: LevelEnsembles, rows: Mapping[Level, npt.NDArray[np.intp]]) -> Self:
        """Return this map with the maps of its levels, by which of its runs are at which."""
        parts = {
            level: dataclasses.replace(
                self,
                checked=self.checked.rows(own),
                own=levels.ensembles[level],
                categories=(),
                fixed={category.name: text for category, text in zip(self.categories, level, strict=True)},
                code=levels.codes[level],
            )
            for level, own in rows.items()
        }
        return dataclasses.replace(self, levels=levels, parts=parts)

    def under(self, rule: RegimeRule) -> Self:
        """Return the map of the same runs under another rule: a recorded threshold, a budget they had, any delay."""
        return type(self).fit(self.source, self.scales, rule=rule, seed=self.seed, previous=self, box=self.box)

    @single_threaded()
    def with_runs(self, frame: pd.DataFrame) -> Self:
        """Return the map of other runs in the same box, hyperparameters and weights kept: a tenth of a fit's time.

        For a search that goes on; a whole fit follows where runs are at levels of a category that this map has not.
        """
        frame, _ = completed(frame, self.rule.budget)
        numeric, named = split_scales(self.scales)
        checked = check_runs(frame, numeric, self.rule.threshold, self.box)
        categories = make_categories(checked.table, named)
        rows = level_rows(checked.table, categories)
        shapes = [(axis.name, axis.zero) for axis in self.axes] == [(axis.name, axis.zero) for axis in checked.axes]
        if not shapes or categories != self.categories or (self.parts and set(rows) != set(self.parts)):
            return type(self).fit(frame, self.scales, rule=self.rule, seed=self.seed, previous=self, box=self.box)
        whole = dataclasses.replace(self, checked=checked, source=frame)
        points = features(checked.axes, checked.table)
        if self.levels is not None:
            return whole._at_levels(refit_levels(self.levels, checked, points, rows, categories, self.seed), rows)
        return dataclasses.replace(whole, own=self.ensemble.refitted(checked, points, self.seed))

    @single_threaded()
    def resampled(self, rows: npt.NDArray[np.intp]) -> Self:
        """Return the map of some of its runs, each as often as its row is given, hyperparameters and weights kept."""
        checked = self.checked.rows(rows)
        return dataclasses.replace(
            self, checked=checked, own=self.ensemble.refitted(checked, self._features(checked.table), self.seed)
        )

    # Geometry -----------------------------------------------------------------------------------------------------

    def grid(self, *, x: str, y: str, at: Mapping[str, Any] | None = None, resolution: int = 81) -> MapSlice:
        """Return probabilities and uncertainty on a grid over two axes, the others at `at` or their middle."""
        if self.parts:
            return self.level(at).grid(x=x, y=y, at=self.numbers_at(at), resolution=resolution)
        across, up = drawn = self._finder.drawn(x, y)
        held = self._finder.held(drawn, self.numbers_at(at))
        points = self._finder.points((up, across), held, resolution)
        shape = (resolution, resolution)
        unsure = self.uncertainty(points)
        return MapSlice(
            x=across,
            y=up,
            at=held,
            grid_x=across.grid(resolution),
            grid_y=up.grid(resolution),
            probabilities=self.probabilities(points).to_numpy().reshape(*shape, len(NAMES)),
            epistemic=unsure["epistemic"].to_numpy().reshape(shape),
            seeds=unsure["seeds"].to_numpy().reshape(shape),
            outcomes={str(name): values.to_numpy().reshape(shape) for name, values in self.outcomes(points).items()},
        )

    def boundary(
        self,
        first: str,
        second: str,
        *,
        x: str,
        y: str,
        at: Mapping[str, Any] | None = None,
        resolution: int = 81,
    ) -> Boundary:
        """Return where two regimes are equally likely, and none more, in a slice over `x` and `y`, with bands.

        `at` holds the other axes, and says which level of each category is meant.
        """
        finder = self.level(at)._finder
        with single_threaded():
            return finder.boundary(regime_pair(first, second), finder.drawn(x, y), self.numbers_at(at), resolution)

    def surface(self, first: str, second: str, resolution: int = 33, at: Mapping[str, Any] | None = None) -> Surface:
        """Return where two regimes are equally likely in the box of a map of three axes, with bands."""
        with single_threaded():
            return self.level(at)._finder.surface(regime_pair(first, second), resolution)

    @property
    def _finder(self) -> BoundaryFinder:
        return BoundaryFinder(axes=self.axes, ensemble=self.ensemble, code=self.code)

    def model_card(self) -> dict[str, Any]:
        """Return what made the map as plain values: rule, axes, members, weights, noise, numbers of runs, warnings."""
        counts = self.runs["regime"].value_counts()
        models = {", ".join(level): part.ensemble.card() for level, part in self.parts.items()}
        return {
            "rule": self.rule.to_section(),
            "rule_sentence": self.rule.sentence(),
            "axes": [dataclasses.asdict(axis) for axis in self.axes],
            "categories": [dataclasses.asdict(category) for category in self.categories],
            "level": dict(self.fixed),
            "runs": len(self.runs),
            "runs_by_regime": {name: int(counts.get(name, 0)) for name in NAMES},
            "runs_censored_early": int((~self.runs["known"]).sum()),
            "budget_limit": self.budget_limit,
            "thresholds": list(self.thresholds),
            "seed": self.seed,
            "weights": self.weights,
            "weight_sentence": self.weight_sentence,
            **({"levels": models} if models else self.ensemble.card()),
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }


def _unmapped(checked: Runs, categories: tuple[Category, ...]) -> list[str]:
    """Return the warning about columns that vary and are neither axis, category, seed nor known to be harmless."""
    names = unexplained(checked.table, checked.axes, categories)
    if not names:
        return []
    them, vary, are = ("it", "varies", "is") if len(names) == 1 else ("them", "vary", "are")
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return [
        f"{shown} {vary} too and {are} no axis of this map, which averages over {them}; "
        f"name {them} as an axis (--axis), or choose runs that have the same."
    ]
