"""RegimeMap: from a table of runs to the probability of each regime everywhere and boundaries with bands.

A map with categories (the transform's name, say) is made of one map over the numeric axes for each of their levels;
what is asked of it at points is asked of the maps of the points' levels, and a slice is one level's.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.maps.boundaries import NAMES, BoundaryFinder, Pair, axis_named, regime_pair
from analysis.maps.geometry import Boundary, MapSlice, Surface
from analysis.maps.levels import LevelEnsembles, fit_levels
from analysis.maps.uncertainty import entropy_split, side_share
from analysis.models.critical_law import CriticalLaw, fit_critical_law
from analysis.models.ensemble import MOST_LEARNED, Ensemble, law_member, learned_rows
from analysis.models.milestone_times import MilestoneTimes
from analysis.models.outcomes import OutcomeLayer
from analysis.models.threads import single_threaded
from analysis.runs.axes import Array, Axis, Box, features
from analysis.runs.categories import (
    Category,
    Level,
    level_rows,
    level_texts,
    make_categories,
    split_scales,
    unexplained,
)
from analysis.runs.censoring import completed
from analysis.runs.run_table import Runs, allowed_regimes, check_budget, check_runs, regime_names
from grokcore.errors import DataError, unknown_name
from grokcore.records.regimes import RegimeRule

P = ParamSpec("P")
T = TypeVar("T", pd.DataFrame, pd.Series, Array)


def by_level(
    ask: Callable[Concatenate[RegimeMap, pd.DataFrame, P], T],
) -> Callable[Concatenate[RegimeMap, pd.DataFrame, P], T]:
    """Let a map with categories ask the map of each point's level, and put the answers in the points' order."""

    @functools.wraps(ask)
    def asked(self: RegimeMap, points: pd.DataFrame, *args: P.args, **kwargs: P.kwargs) -> T:
        if not self.parts:
            return ask(self, points, *args, **kwargs)
        rows = self.rows_by_level(points)
        answers: list[Any] = [ask(self.parts[level], points.iloc[own], *args, **kwargs) for level, own in rows.items()]
        order = np.argsort(np.concatenate(list(rows.values())), kind="stable")
        if isinstance(answers[0], np.ndarray):
            return cast("T", np.concatenate(answers)[order])
        return cast("T", pd.concat(answers).iloc[order])

    return cast("Callable[Concatenate[RegimeMap, pd.DataFrame, P], T]", asked)


@dataclass(frozen=True, kw_only=True, eq=False)
class RegimeMap:
    """A fitted map; made by `fit`, relabelled by `under`."""

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
    parts: Mapping[Level, RegimeMap] = field(default_factory=dict)
    """The maps of the levels that runs have."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """For the map of one level: that level, by column of its categories."""
    code: Array = field(default_factory=lambda: np.zeros(0))
    """What stands after the axes' features where levels share one ensemble."""
    _at_threshold: dict[float, MilestoneTimes] = field(init=False, default_factory=dict)

    def __repr__(self) -> str:
        axes = ", ".join([*(axis.name for axis in self.axes), *(category.name for category in self.categories)])
        return f"<RegimeMap of {len(self.runs):,} runs over {axes}; {self.rule}>"

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
    ) -> Self:
        """Fit a map to runs.

        `frame` has the axes' columns and t_mem, t_mem_event, t_gen, t_gen_event; `axes` says for each axis "linear",
        "log" or "categorical", by its column or the last part of its name. `previous`, a map of fewer of the runs,
        gives the starting point of the search for hyperparameters. The map covers the range of the runs, and that of
        `box` where a column is named there. Raises `DataError` for data that no honest map can be made of.
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
        start = previous.own if previous is not None and same else None
        if start is not None and start.features != points.shape[1]:
            start = None
        return dataclasses.replace(whole, own=Ensemble.fit(checked, points, rule, seed, start))

    def _with_levels(self, points: Array, start: LevelEnsembles | None) -> Self:
        """Return this map with the maps of its levels, fitted to feature rows."""
        rows = level_rows(self.checked.table, self.categories)
        levels = fit_levels(self.checked, points, rows, self.categories, self.rule, self.seed, start)
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

    def resampled(self, rows: npt.NDArray[np.intp]) -> Self:
        """Return the map of some of its runs, each as often as its row is given, hyperparameters and weights kept."""
        checked = self.checked.rows(rows)
        return dataclasses.replace(
            self, checked=checked, own=self.ensemble.refitted(checked, self._features(checked.table), self.seed)
        )

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

    def level(self, at: Mapping[str, Any] | None = None) -> RegimeMap:
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
    def _finder(self) -> BoundaryFinder:
        return BoundaryFinder(axes=self.axes, ensemble=self.ensemble, code=self.code)

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
        """Return the runs with `regime` under the rule and `known`: whether censoring leaves no other."""
        table = self.checked.table.copy()
        mem, mem_event = self.checked.milestone("t_mem")
        gen, gen_event = self.checked.milestone("t_gen")
        table["regime"] = regime_names(self.rule.labels(mem, mem_event, gen, gen_event))
        table["known"] = allowed_regimes(self.checked, self.rule).sum(axis=1) == 1
        return table

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
        try:
            return fit_critical_law(self.checked), ""
        except DataError as error:
            return None, str(error)

    @property
    def law(self) -> CriticalLaw | None:
        """Return the critical law of the delay with its intervals, or None; `law_absent` says why."""
        return self._fitted_law[0]

    @property
    def law_absent(self) -> str:
        """Return why there is no critical law; empty when there is one."""
        return self._fitted_law[1]

    # Probabilities ------------------------------------------------------------------------------------------------

    def _features(self, points: pd.DataFrame) -> Array:
        return features(self.axes, points, self.code)

    def _table(self, values: Array, points: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(values, index=points.index, columns=NAMES)

    @by_level
    def probabilities(self, points: pd.DataFrame) -> pd.DataFrame:
        """Return the probability of each regime for a run with a new seed at each point; rows sum to one."""
        return self._table(self.ensemble.mixture(self._features(points)), points)

    def regimes(self, points: pd.DataFrame) -> pd.Series:
        """Return the most probable regime at each point."""
        return self.probabilities(points).idxmax(axis=1)

    def member_probabilities(self, name: str, points: pd.DataFrame, rule: RegimeRule | None = None) -> pd.DataFrame:
        """Return one member's probabilities; a member of times takes another budget, gap or ratio in `rule`."""
        return self._of_member(points, name, rule)

    @by_level
    def _of_member(self, points: pd.DataFrame, name: str, rule: RegimeRule | None) -> pd.DataFrame:
        if name not in self.weights:
            raise DataError(unknown_name("member", name, self.weights))
        if rule is None or rule == self.rule:
            return self._table(self.ensemble.member(name, self._features(points)), points)
        if name not in ("times", "law"):
            raise DataError(f"member {name!r} knows only the rule of the fit; ask m.under(rule) for another.")
        ensemble = dataclasses.replace(self.ensemble, times=self._times(rule.threshold))
        return self._table(ensemble.member(name, self._features(points), rule), points)

    @by_level
    def uncertainty(self, points: pd.DataFrame) -> pd.DataFrame:
        """Return bits: `total`, and of it `epistemic` (more runs would remove it) and `seeds` (seeds differ here)."""
        return pd.DataFrame(entropy_split(self.ensemble, self._features(points)), index=points.index)

    def share(self, first: str, second: str, points: pd.DataFrame) -> pd.Series:
        """Return the posterior probability that the median run at each point is in `first` rather than in `second`.

        The edge's 90 % band is where this lies between .05 and .95.
        """
        return self._share(points, regime_pair(first, second))

    @by_level
    def _share(self, points: pd.DataFrame, pair: Pair) -> pd.Series:
        values, _ = side_share(self.ensemble, self._features(points), pair)
        return pd.Series(values, index=points.index, name="share")

    @by_level
    def outcomes(self, points: pd.DataFrame) -> pd.DataFrame:
        """Return the probability that a run diverges, fails, or is unstable; 0 for an outcome no run had."""
        return pd.DataFrame(self._outcomes.chances(self._features(points)), index=points.index)

    @functools.cached_property
    def _outcomes(self) -> OutcomeLayer:
        table = self.checked.table.iloc[learned_rows(len(self.checked.table), self.seed)]
        return OutcomeLayer.fit(table["outcome"].to_numpy(), self._features(table))

    def _times(self, threshold: float) -> MilestoneTimes:
        if threshold == self.rule.threshold:
            return self.ensemble.times
        if threshold not in self._at_threshold:
            runs = self.checked.at_threshold(threshold)
            runs = runs.rows(learned_rows(len(runs.table), self.seed))
            self._at_threshold[threshold] = self.ensemble.times.at_threshold(runs, self._features(runs.table))
        return self._at_threshold[threshold]

    @by_level
    def milestones(self, points: pd.DataFrame, threshold: float | None = None) -> pd.DataFrame:
        """Return the posterior of the milestone times in log10 steps, at a recorded threshold (the rule's).

        `t_mem_mean, delay_mean` are those of the median run, `_sd` how unsure they are, `_noise` the spread of seeds.
        Where a time jumps, `_jump_1` is by how much, and `_side_1` with its `_sd` the latent that tells on which side a
        point lies: beyond the jump, which the mean has in it, where it is positive.
        """
        times = self._times(self.rule.threshold if threshold is None else threshold)
        found = times.predict(self._features(points))
        columns: dict[str, Array] = {}
        for name, level in (("t_mem", found.mem), ("delay", found.delay)):
            columns |= {f"{name}_mean": level.median, f"{name}_sd": np.sqrt(level.variance)}
            columns[f"{name}_noise"] = np.full(len(points), level.noise)
            for number, step in enumerate(level.steps, start=1):
                columns[f"{name}_jump_{number}"] = np.full(len(points), step.height)
                columns[f"{name}_side_{number}"] = step.mean
                columns[f"{name}_side_{number}_sd"] = np.sqrt(step.variance)
        return pd.DataFrame(columns, index=points.index)

    @by_level
    def law_delay(self, points: pd.DataFrame, threshold: float) -> Array:
        """Return the law member's log10 delays at a recorded threshold, 9 where it says never."""
        ensemble = self.ensemble
        if threshold != self.rule.threshold:
            law = law_member(self.checked.at_threshold(threshold), ensemble.law)
            ensemble = dataclasses.replace(ensemble, law=law or ensemble.law)
        return ensemble.predict_times(self._features(points), "law").delay.mean

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

    def boundaries(
        self, *, x: str, y: str, at: Mapping[str, Any] | None = None, resolution: int = 81
    ) -> list[Boundary]:
        """Return the boundaries of all pairs of regimes that meet in a slice."""
        pairs = itertools.combinations(NAMES, 2)
        found = [self.boundary(a, b, x=x, y=y, at=at, resolution=resolution) for a, b in pairs]
        return [boundary for boundary in found if boundary.curves]

    def surface(self, first: str, second: str, resolution: int = 33, at: Mapping[str, Any] | None = None) -> Surface:
        """Return where two regimes are equally likely in the box of a map of three axes, with bands."""
        with single_threaded():
            return self.level(at)._finder.surface(regime_pair(first, second), resolution)

    # Choosing and stopping runs -----------------------------------------------------------------------------------

    @by_level
    def pool(self, points: pd.DataFrame) -> pd.DataFrame:
        """Return the equal pool's probabilities: what a sampler should be unsure by, in any world."""
        return self._table(self.ensemble.pool(self._features(points)), points)

    @by_level
    def disagreement(self, points: pd.DataFrame) -> pd.Series:
        """Return bits of the pool's uncertainty that runs there would remove: members' and draws' disagreement."""
        split = entropy_split(self.ensemble, self._features(points), equal=True)
        return pd.Series(split["epistemic"], index=points.index, name="disagreement")

    def chance_to_generalise(
        self,
        points: pd.DataFrame,
        survived_steps: npt.ArrayLike,
        *,
        budget: float | None = None,
        memorised_at: npt.ArrayLike | None = None,
    ) -> Array:
        """Return P(t_gen ≤ budget | t_gen > survived_steps) for runs under way at `points`, by the times alone.

        `memorised_at` gives t_mem of runs that have memorised (NaN for others), which sharpens the answer.
        """
        survived = np.broadcast_to(np.asarray(survived_steps, dtype=float), (len(points),))
        known = np.broadcast_to(
            np.asarray(np.nan if memorised_at is None else memorised_at, dtype=float), survived.shape
        )
        end = np.full(len(points), float(self.rule.budget if budget is None else budget))
        return self._chance_to_generalise(points.assign(**{"~survived": survived, "~known": known, "~end": end}))

    @by_level
    def _chance_to_generalise(self, points: pd.DataFrame) -> Array:
        survived, known, end = (points[name].to_numpy() for name in ("~survived", "~known", "~end"))
        return self.ensemble.times.generalises_between(self._features(points), survived, end, known)

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
