"""RegimeMap: from a table of runs to the probability of each regime everywhere and boundaries with bands."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.maps.boundaries import NAMES, BoundaryFinder, regime_pair
from analysis.maps.geometry import Boundary, MapSlice, Surface
from analysis.maps.uncertainty import entropy_split, side_share
from analysis.models.critical_law import CriticalLaw, fit_critical_law
from analysis.models.ensemble import Ensemble, law_member
from analysis.models.milestone_times import MilestoneTimes
from analysis.models.outcomes import OutcomeLayer
from analysis.models.threads import single_threaded
from analysis.runs.axes import Array, Axis, Box, features
from analysis.runs.censoring import completed
from analysis.runs.run_table import Runs, allowed_regimes, check_budget, check_runs, regime_names
from grokcore.errors import DataError, unknown_name
from grokcore.records.regimes import RegimeRule


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
    """Seed of the order in which held-out runs were foretold and of the graph's points."""
    ensemble: Ensemble
    """The fitted members and their weights."""
    warnings: tuple[str, ...]
    """What a reader of the map must know, in sentences."""
    box: Box | None = None
    """Ranges of axes beyond those of the runs, by column: those over which a sweep chose its runs."""
    notes: tuple[str, ...] = ()
    """How the table was understood, in sentences: what it left to be concluded or guessed."""

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

        `frame` has the axes' columns and t_mem, t_mem_event, t_gen, t_gen_event; `axes` says for each axis "linear" or
        "log", by its column or the last part of its name. `previous`, a map of fewer of the runs, gives the starting
        point of the search for hyperparameters. The map covers the range of the runs, and that of `box` where a column
        is named there. Raises `DataError` for data that no honest map can be made of.
        """
        frame, notes = completed(frame, rule.budget)
        checked = check_runs(frame, axes, rule.threshold, box)
        warnings = [*checked.warnings, *check_budget(checked, rule)]
        points = features(checked.axes, checked.table)
        start = previous.ensemble if previous is not None and len(previous.axes) == len(checked.axes) else None
        if start is not None and start.features != points.shape[1]:
            start = None
        ensemble = Ensemble.fit(checked, points, rule, seed, start)
        return cls(
            checked=checked,
            scales=dict(axes),
            source=frame,
            rule=rule,
            seed=seed,
            ensemble=ensemble,
            warnings=tuple(warnings),
            box=box,
            notes=tuple(notes),
        )

    def under(self, rule: RegimeRule) -> Self:
        """Return the map of the same runs under another rule: a recorded threshold, a budget they had, any delay."""
        return type(self).fit(self.source, self.scales, rule=rule, seed=self.seed, previous=self, box=self.box)

    def refitted(self, frame: pd.DataFrame) -> Self:
        """Return the map of other runs in the same box, hyperparameters and weights kept: quick, for resampling."""
        checked = dataclasses.replace(check_runs(frame, self.scales, self.rule.threshold), axes=self.axes)
        ensemble = self.ensemble.refitted(checked, features(self.axes, checked.table), self.seed)
        return dataclasses.replace(self, checked=checked, source=frame, ensemble=ensemble)

    # What the map knows -------------------------------------------------------------------------------------------

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Return the axes with their ranges, in the order given."""
        return self.checked.axes

    def axis(self, name: str) -> Axis:
        """Return the axis called `name`, by its column or its short name."""
        return self._finder.axis(name)

    @property
    def _finder(self) -> BoundaryFinder:
        return BoundaryFinder(axes=self.axes, ensemble=self.ensemble)

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
        """Return the members' shares in the mixture."""
        return dict(self.ensemble.weights)

    @property
    def weight_sentence(self) -> str:
        """Return in words how the members are mixed and what that says about the edges."""
        return self.ensemble.sentence

    @functools.cached_property
    def _fitted_law(self) -> tuple[CriticalLaw | None, str]:
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
        return features(self.axes, points)

    def _table(self, values: Array, points: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(values, index=points.index, columns=NAMES)

    def probabilities(self, points: pd.DataFrame) -> pd.DataFrame:
        """Return the probability of each regime for a run with a new seed at each point; rows sum to one."""
        return self._table(self.ensemble.mixture(self._features(points)), points)

    def regimes(self, points: pd.DataFrame) -> pd.Series:
        """Return the most probable regime at each point."""
        return self.probabilities(points).idxmax(axis=1)

    def member_probabilities(self, name: str, points: pd.DataFrame, rule: RegimeRule | None = None) -> pd.DataFrame:
        """Return one member's probabilities; a member of times takes another budget, gap or ratio in `rule`."""
        if name not in self.weights:
            raise DataError(unknown_name("member", name, self.weights))
        if rule is None or rule == self.rule:
            return self._table(self.ensemble.member(name, self._features(points)), points)
        if name not in ("times", "law"):
            raise DataError(f"member {name!r} knows only the rule of the fit; ask m.under(rule) for another.")
        ensemble = dataclasses.replace(self.ensemble, times=self._times(rule.threshold))
        return self._table(ensemble.member(name, self._features(points), rule), points)

    def uncertainty(self, points: pd.DataFrame) -> pd.DataFrame:
        """Return bits: `total`, and of it `epistemic` (more runs would remove it) and `seeds` (seeds differ here)."""
        return pd.DataFrame(entropy_split(self.ensemble, self._features(points)), index=points.index)

    def share(self, first: str, second: str, points: pd.DataFrame) -> pd.Series:
        """Return the posterior probability that the median run at each point is in `first` rather than in `second`.

        The edge's 90 % band is where this lies between .05 and .95.
        """
        values, _ = side_share(self.ensemble, self._features(points), regime_pair(first, second))
        return pd.Series(values, index=points.index, name="share")

    def outcomes(self, points: pd.DataFrame) -> pd.DataFrame:
        """Return the probability that a run diverges, fails, or is unstable; 0 for an outcome no run had."""
        return pd.DataFrame(self._outcomes.chances(self._features(points)), index=points.index)

    @functools.cached_property
    def _outcomes(self) -> OutcomeLayer:
        return OutcomeLayer.fit(self.checked.table["outcome"].to_numpy(), self._features(self.checked.table))

    @functools.cache  # noqa: B019 - a map is small beside its fits
    def _times(self, threshold: float) -> MilestoneTimes:
        if threshold == self.rule.threshold:
            return self.ensemble.times
        runs = check_runs(self.source, self.scales, threshold)
        return MilestoneTimes.fit(runs, self._features(runs.table), self.ensemble.times)

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

    def law_delay(self, points: pd.DataFrame, threshold: float) -> Array:
        """Return the law member's log10 delays at a recorded threshold, 9 where it says never."""
        ensemble = self.ensemble
        if threshold != self.rule.threshold:
            law = law_member(check_runs(self.source, self.scales, threshold), ensemble.law)
            ensemble = dataclasses.replace(ensemble, law=law or ensemble.law)
        return ensemble.predict_times(self._features(points), "law").delay.mean

    # Geometry -----------------------------------------------------------------------------------------------------

    def grid(self, *, x: str, y: str, at: Mapping[str, float] | None = None, resolution: int = 81) -> MapSlice:
        """Return probabilities and uncertainty on a grid over two axes, the others at `at` or their middle."""
        across, up = drawn = self._finder.drawn(x, y)
        held = self._finder.held(drawn, at)
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
        at: Mapping[str, float] | None = None,
        resolution: int = 81,
    ) -> Boundary:
        """Return where two regimes are equally likely, and none more, in a slice over `x` and `y`, with bands."""
        return self._finder.boundary(regime_pair(first, second), self._finder.drawn(x, y), at, resolution)

    def boundaries(
        self, *, x: str, y: str, at: Mapping[str, float] | None = None, resolution: int = 81
    ) -> list[Boundary]:
        """Return the boundaries of all pairs of regimes that meet in a slice."""
        pairs = itertools.combinations(NAMES, 2)
        found = [self.boundary(a, b, x=x, y=y, at=at, resolution=resolution) for a, b in pairs]
        return [boundary for boundary in found if boundary.curves]

    def surface(self, first: str, second: str, resolution: int = 33) -> Surface:
        """Return where two regimes are equally likely in the box of a map of three axes, with bands."""
        return self._finder.surface(regime_pair(first, second), resolution)

    # Choosing and stopping runs -----------------------------------------------------------------------------------

    def pool(self, points: pd.DataFrame) -> pd.DataFrame:
        """Return the equal pool's probabilities: what a sampler should be unsure by, in any world."""
        return self._table(self.ensemble.pool(self._features(points)), points)

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
        rows = self._features(points)
        survived = np.broadcast_to(np.asarray(survived_steps, dtype=float), (len(points),))
        known = None if memorised_at is None else np.broadcast_to(np.asarray(memorised_at, dtype=float), (len(points),))
        end = np.full(len(points), float(self.rule.budget if budget is None else budget))
        return self.ensemble.times.generalises_between(rows, survived, end, known)

    def model_card(self) -> dict[str, Any]:
        """Return what made the map as plain values: rule, axes, members, weights, noise, numbers of runs, warnings."""
        noise = {"t_mem": self.ensemble.times.mem.noise, "delay": self.ensemble.times.delay.noise}
        counts = self.runs["regime"].value_counts()
        return {
            "rule": self.rule.to_section(),
            "rule_sentence": self.rule.sentence(),
            "axes": [dataclasses.asdict(axis) for axis in self.axes],
            "runs": len(self.runs),
            "runs_by_regime": {name: int(counts.get(name, 0)) for name in NAMES},
            "runs_censored_early": int((~self.runs["known"]).sum()),
            "budget_limit": self.budget_limit,
            "thresholds": list(self.thresholds),
            "seed": self.seed,
            "stage_weights": self.ensemble.stage_weights,
            "weights": self.weights,
            "weight_sentence": self.weight_sentence,
            "sharpness": dict(self.ensemble.sharpness),
            "noise_log10": noise,
            "jumps_log10": self.ensemble.times.jumps,
            "hyperparameters": self.ensemble.hyperparameters(),
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }
