"""FittedMap: the runs, axes and categories of a map, the models fitted to them, and which level is meant."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.maps.boundaries import axis_named
from analysis.maps.levels import LevelEnsembles
from analysis.models.critical_law import CriticalLaw, fit_critical_law
from analysis.models.ensemble import Ensemble
from analysis.models.milestone_times import MilestoneTimes
from analysis.runs.axes import Array, Axis, Box
from analysis.runs.categories import (
    Category,
    Level,
    level_rows,
    level_texts,
)
from analysis.runs.ruled_out import COLUMNS
from analysis.runs.run_table import Runs, allowed_regimes, regime_names
from grokcore.errors import DataError
from grokcore.records.regimes import RegimeRule


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedMap(abc.ABC):
    """Runs, axes, categories and the models fitted to them; for a map with categories, the maps of its levels."""

    checked: Runs
    """The runs, checked, with milestones at the rule's threshold."""
    scales: Mapping[str, str]
    """The axes as they were asked for."""
    source: pd.DataFrame
    """The table as it was given, for relabelling."""
    rule: RegimeRule
    """What counts as which regime."""
    seed: int
    """Seed of the order in which runs were held out and of the graph's points."""
    own: Ensemble | None = None
    """The fitted members and their weights; none for a map with categories, whose levels have theirs."""
    warnings: tuple[str, ...]
    """What a reader of the map must know, in sentences."""
    box: Box | None = None
    """Ranges of axes beyond those of the runs, by column: those over which a sweep chose its runs."""
    notes: tuple[str, ...] = ()
    """How the table was understood, in sentences: what it left to be concluded or guessed."""
    categories: tuple[Category, ...] = ()
    """Fields without order, each level with a map over the numeric axes."""
    levels: LevelEnsembles | None = None
    """What the levels of the categories share; none for a map without."""
    parts: Mapping[Level, Self] = field(default_factory=dict)
    """The maps of the levels that runs have."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """For the map of one level: that level, by column of its categories."""
    code: Array = field(default_factory=lambda: np.zeros(0))
    """What stands after the axes' features where levels share one ensemble."""
    _at_threshold: dict[float, MilestoneTimes] = field(init=False, default_factory=dict)
    _begun: dict[float | None, Callable[[], Any]] = field(init=False, default_factory=dict)
    """What was begun before it is asked for: the times at a threshold, and under None the law."""
    # Levels of categories -----------------------------------------------------------------------------------------

    @property
    def ensemble(self) -> Ensemble:
        """Return the fitted members; raises `DataError` for a map with categories, whose levels have theirs."""
        if self.own is None:
            raise DataError(self._levels_sentence)
        return self.own

    @property
    def _levels_sentence(self) -> str:
        said = " and ".join(f"{category.short} ({', '.join(category.levels)})" for category in self.categories)
        first = "; ".join(f"{category.short}={category.levels[0]}" for category in self.categories)
        return f"this map has levels of {said}; say which is meant, as {first}."

    def level(self, at: Mapping[str, Any] | None = None) -> Self:
        """Return the map of one level of every category, as `at` says by column or short name; numbers are passed over.

        A map without categories is its own. Raises `DataError` where a category is not said, or no run is at the level.
        """
        level = self._level_of(at or {})
        if not self.parts:
            return self
        if level not in self.parts:
            have = "; ".join(", ".join(known) for known in self.parts)
            raise DataError(f"no run is at {', '.join(level)}; there are runs at {have}.")
        return self.parts[level]

    def _level_of(self, at: Mapping[str, Any]) -> Level:
        """Return the level that `at` says."""
        level = []
        for category in self.categories:
            given = [at[name] for name in (category.name, category.short) if name in at]
            if not given and len(category.levels) > 1:
                raise DataError(self._levels_sentence)
            level.append(category.level(given[0]) if given else category.levels[0])
        return tuple(level)

    def has_runs_at(self, points: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Return, per point, whether some run is at its level of every category; true for a map without categories."""
        known = np.ones(len(points), dtype=bool)
        if self.parts:
            texts = [level_texts(points[category.name]) for category in self.categories]
            known = np.array([level in self.parts for level in zip(*texts, strict=True)], dtype=bool)
        return known

    def numbers_at(self, at: Mapping[str, Any] | None) -> dict[str, float]:
        """Return the numeric axes of `at`, by column; raises `DataError` for what is neither axis nor category."""
        words = {name for category in self.categories for name in (category.name, category.short)}
        words |= {short for name in self.fixed for short in (name, Category(name=name, levels=()).short)}
        found: dict[str, float] = {}
        for name, value in (at or {}).items():
            if name in words:
                continue
            column = self.axis(name).name
            try:
                found[column] = float(value)
            except (TypeError, ValueError):
                raise DataError(f"axis {name} is held at {value!r}; give a number.") from None
        return found

    def rows_by_level(self, points: pd.DataFrame) -> dict[Level, npt.NDArray[np.intp]]:
        """Return which rows of `points` are at which level; raises `DataError` for a level that no run is at."""
        columns: dict[str, Any] = {}
        for category in self.categories:
            name = next((name for name in (category.name, category.short) if name in points.columns), None)
            if name is None:
                raise DataError(f"the points have no column {category.short}. {self._levels_sentence}")
            columns[category.name] = points[name].map(category.level)
        rows = level_rows(pd.DataFrame(columns), self.categories)
        for level in rows:
            self.level({category.name: text for category, text in zip(self.categories, level, strict=True)})
        return rows

    # What the map knows -------------------------------------------------------------------------------------------

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Return the axes with their ranges, in the order given."""
        return self.checked.axes

    def axis(self, name: str) -> Axis:
        """Return the axis called `name`, by its column or its short name."""
        return axis_named(name, self.axes)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Return the thresholds under which the map can be redrawn."""
        return self.checked.thresholds

    @property
    def budget_limit(self) -> int:
        """Return the largest budget under which the map can be redrawn, in steps."""
        return self.checked.budget_limit

    @functools.cached_property
    def runs(self) -> pd.DataFrame:
        """Return the runs with `regime` under the rule and `known`: whether censoring leaves no other.

        A forecast's word is taken for the regime, and makes none known.
        """
        table = self.checked.table.copy()
        mem, mem_event = self.checked.milestone("t_mem")
        gen, gen_event = self.checked.milestone("t_gen")
        table["regime"] = regime_names(self.rule.labels(mem, mem_event, gen, gen_event))
        table["known"] = allowed_regimes(self.checked.unbelieving(), self.rule).sum(axis=1) == 1
        return table.drop(columns=[name for name in COLUMNS if name not in self.source.columns])

    @property
    def weights(self) -> dict[str, float]:
        """Return the members' shares in the mixture; of a map with categories, their means over the runs."""
        if not self.parts:
            return dict(self.ensemble.weights)
        counts = {level: len(part.checked.table) for level, part in self.parts.items()}
        shares = pd.DataFrame({level: part.ensemble.weights for level, part in self.parts.items()}).fillna(0.0)
        return {str(name): float(np.average(row, weights=list(counts.values()))) for name, row in shares.iterrows()}

    @property
    def weight_sentence(self) -> str:
        """Return in words how the members are mixed and what that says about the edges."""
        if self.levels is None:
            return self.ensemble.sentence
        if self.levels.shared:
            return f"{self.levels.sentence}; {next(iter(self.parts.values())).ensemble.sentence}"
        each = "; ".join(f"{', '.join(level)}: {part.ensemble.sentence}" for level, part in self.parts.items())
        return f"{self.levels.sentence}; {each}"

    @functools.cached_property
    def _fitted_law(self) -> tuple[CriticalLaw | None, str]:
        if self.parts:
            return None, "each level of a category has a law of its own."
        begun: Callable[[], tuple[CriticalLaw | None, str]] = self._begun.pop(
            None, functools.partial(law_of, self.checked)
        )
        return begun()

    @property
    def law(self) -> CriticalLaw | None:
        """Return the critical law of the delay with its intervals, or None; `law_absent` says why."""
        return self._fitted_law[0]

    @property
    def law_absent(self) -> str:
        """Return why there is no critical law; empty when there is one."""
        return self._fitted_law[1]


def law_of(runs: Runs) -> tuple[CriticalLaw | None, str]:
    """Return the critical law of the runs, or why there is none."""
    try:
        return fit_critical_law(runs), ""
    except DataError as error:
        return None, str(error)
