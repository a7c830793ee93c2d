"""MapQuestions: what a fitted map says at points, each asked of the map of its level, answered in the points' order."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.maps.boundaries import NAMES, Pair, regime_pair
from analysis.maps.edge_knowledge import EdgeKnowledge
from analysis.maps.fitted_map import FittedMap, law_of
from analysis.maps.outcomes import OutcomeLayer
from analysis.maps.uncertainty import entropy_split, side_share
from analysis.models.cores import beside, single_threaded
from analysis.models.ensemble import law_member, learned_rows
from analysis.models.milestone_times import MilestoneTimes
from analysis.runs.axes import Array, Axis, features
from analysis.runs.categories import Category
from analysis.runs.run_table import Runs
from grokcore.errors import DataError, unknown_name
from grokcore.records.regimes import RegimeRule

P = ParamSpec("P")
T = TypeVar("T", pd.DataFrame, pd.Series, Array)
Points = pd.DataFrame | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
"""Points of a map: a table, a dict of numbers or columns, or a list of dicts; None where axes are keywords."""


def by_level(ask: Callable[Concatenate[MapQuestions, pd.DataFrame, P], T]) -> Callable[..., T]:
    """Let a map with categories ask the map of each point's level, on one thread, and answer in the points' order.

    Points are whatever `MapQuestions.points` takes, axes by keyword among it.
    """
    own = set(inspect.signature(ask).parameters)

    @functools.wraps(ask)
    def asked(self: MapQuestions, points: Points = None, *args: Any, **kwargs: Any) -> T:
        named = {name: kwargs.pop(name) for name in list(kwargs) if name not in own}
        with single_threaded():
            return _answered(self, self.points(points, **named), *args, **kwargs)

    def _answered(self: MapQuestions, points: pd.DataFrame, *args: P.args, **kwargs: P.kwargs) -> T:
        if not self.parts:
            return ask(self, points, *args, **kwargs)
        rows = self.rows_by_level(points)
        answers: list[Any] = [ask(self.parts[level], points.iloc[own], *args, **kwargs) for level, own in rows.items()]
        order = np.argsort(np.concatenate(list(rows.values())), kind="stable")
        if isinstance(answers[0], np.ndarray):
            return cast("T", np.concatenate(answers)[order])
        return cast("T", pd.concat(answers).iloc[order])

    return asked


@dataclass(frozen=True, kw_only=True, eq=False)
class MapQuestions(FittedMap):
    """What a fitted map says at points: probabilities, uncertainty, milestones, and where runs would tell most."""

    def points(self, given: Points = None, **named: Any) -> pd.DataFrame:
        """Return points as a table: of a table, a dict, dicts, or of axes and categories by keyword.

        A value may be a number (a level, for a category) or several. A table is taken as it is; elsewhere an axis that
        is not named is at its middle. Raises `DataError` for a name that is no axis, and values that do not fit.
        """
        if isinstance(given, pd.DataFrame):
            return given.assign(**named)
        several = [given or {}] if given is None or isinstance(given, Mapping) else given
        if not len(several):
            raise DataError("no points were given; name an axis, as fraction=0.5, or give a table, a dict or dicts.")
        return pd.concat([self._point(dict(one) | named) for one in several], ignore_index=True)

    def _point(self, given: Mapping[str, Any]) -> pd.DataFrame:
        columns: dict[str, Any] = {axis.name: axis.middle for axis in self.axes}
        both: list[Axis | Category] = [*self.axes, *self.categories]
        known = {name: one.name for one in both for name in (one.short, one.name)}
        for name, value in given.items():
            if name not in known:
                raise DataError(unknown_name("axis", name, list(dict.fromkeys(known))))
            columns[known[name]] = value
        try:
            arrays = np.broadcast_arrays(*(np.atleast_1d(value) for value in columns.values()))
        except ValueError:
            sizes = ", ".join(f"{name} {np.size(value)}" for name, value in columns.items())
            raise DataError(f"points differ in length: {sizes}. Give one value, or as many for each axis.") from None
        return pd.DataFrame(dict(zip(columns, arrays, strict=True)))

    def at(self, points: Points = None, **named: Any) -> pd.DataFrame:
        """Return what the map says at points, a row each, as `m.at(fraction=0.5, decay=1)`.

        The axes; the likeliest `regime` and the probability of each; `t_mem` and `t_gen`, the median run's steps under
        the fitted times, without regard to a budget; bits of uncertainty: `epistemic` (more runs would remove it) and
        `seeds`. `points` and `named` are those of `points`.
        """
        table = self.points(points, **named)
        chance, times = self.probabilities(table), self.milestones(table)
        mem = 10.0 ** times["t_mem_mean"]
        said = pd.DataFrame({"t_mem": mem, "t_gen": mem + 10.0 ** times["delay_mean"]})
        bits = self.uncertainty(table)[["epistemic", "seeds"]]
        return pd.concat([table, chance.idxmax(axis=1).rename("regime"), chance, said, bits], axis=1)

    # Probabilities ------------------------------------------------------------------------------------------------

    def _features(self, points: pd.DataFrame) -> Array:
        return features(self.axes, points, self.code)

    def _table(self, values: Array, points: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(values, index=points.index, columns=NAMES)

    @by_level
    def probabilities(self, points: pd.DataFrame) -> pd.DataFrame:
        """Return the probability of each regime for a run with a new seed at each point; rows sum to one."""
        return self._table(self.ensemble.mixture(self._features(points)), points)

    def regimes(self, points: Points = None, **named: Any) -> pd.Series:
        """Return the most probable regime at each point."""
        return self.probabilities(points, **named).idxmax(axis=1)

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

    def edge_knowledge(self, points: pd.DataFrame) -> list[tuple[npt.NDArray[np.intp], EdgeKnowledge]]:
        """Return what is known of the edges at points, for each level of the categories apart: its rows, and what."""
        with single_threaded():
            if not self.parts:
                return [(np.arange(len(points)), EdgeKnowledge(self.ensemble, self._features(points)))]
            found = [(rows, self.parts[level]) for level, rows in self.rows_by_level(points).items()]
            return [(rows, EdgeKnowledge(part.ensemble, part._features(points.iloc[rows]))) for rows, part in found]

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
        """Return the probability that a run diverges, fails, is unstable, or forgets; 0 for an outcome no run had."""
        return pd.DataFrame(self._outcomes.chances(self._features(points)), index=points.index)

    @functools.cached_property
    def _outcomes(self) -> OutcomeLayer:
        table = self.checked.table.iloc[learned_rows(len(self.checked.table), self.seed)]
        return OutcomeLayer.fit(table["outcome"].to_numpy(), self._features(table))

    def begin(self) -> None:
        """Begin, in a second process where there is one, what an export asks for: the law, the times at thresholds."""
        for one in self.parts.values() or (self,):
            one._begun[None] = beside(law_of, one.checked)
            for threshold in one.thresholds:
                if threshold != one.rule.threshold and threshold not in one._at_threshold:
                    one._begun[threshold] = beside(one.ensemble.times.at_threshold, *one._runs_at(threshold))

    def _runs_at(self, threshold: float) -> tuple[Runs, Array]:
        """Return the runs that an ensemble learns from, with their milestones at a threshold, and where they are."""
        runs = self.checked.at_threshold(threshold)
        runs = runs.rows(learned_rows(len(runs.table), self.seed))
        return runs, self._features(runs.table)

    def _times(self, threshold: float) -> MilestoneTimes:
        if threshold == self.rule.threshold:
            return self.ensemble.times
        if threshold not in self._at_threshold:
            begun = self._begun.pop(threshold, None)
            self._at_threshold[threshold] = (
                begun() if begun else self.ensemble.times.at_threshold(*self._runs_at(threshold))
            )
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
