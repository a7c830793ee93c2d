"""The kinds of question that a claim of a paper may ask of runs, by the name that a recipe gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from annotated_types import Gt, Le
from scipy import stats

from analysis.statistics.assembly import assembly_order
from analysis.statistics.claims import (
    NOTHING,
    SEED_SPREAD,
    CurveRun,
    Finding,
    Question,
    mean_interval,
    mean_of,
    paired,
    reached,
    taken,
    taken_at,
    value_of,
)
from analysis.statistics.edge import Edge
from analysis.statistics.published_map import PublishedMap
from grokcore.records.milestones import forgetting

Share = Annotated[float, Gt(0), Le(1)]


def share_of(found: int, runs: int, more: str = "") -> Finding:
    """Return a share of runs with Clopper and Pearson's exact interval."""
    exact = stats.binomtest(found, runs).proportion_ci()
    return Finding(found / runs, float(exact.low), float(exact.high), runs, f"{found} of {runs} runs{more}")


@dataclass(frozen=True, kw_only=True)
class Time(Question):
    """The typical step (geometric mean over seeds) of the first passage of an accuracy."""

    NUMBER: ClassVar[str] = "step"

    split: Literal["train", "val"] = "val"
    """Whose accuracy."""
    at: Share = 0.9
    """The accuracy."""

    def find(self, runs: Sequence[CurveRun]) -> Finding:
        """Leave the upper end open where runs never passed; they count with the last step seen."""
        times = [reached(run, self.split, self.at) for run in self.chosen(runs)]
        if not times:
            return NOTHING
        mean, low, high = mean_interval([math.log10(step) for step, _ in times], SEED_SPREAD)
        missing = sum(not event for _, event in times)
        note = f"{missing} of {len(times)} runs never got there" if missing else ""
        return Finding(10**mean, 10**low, math.inf if missing else 10**high, len(times), note)


@dataclass(frozen=True, kw_only=True)
class Reached(Question):
    """The share of runs whose accuracy, or another curve's end, is at or above a level."""

    NUMBER: ClassVar[str] = "share of runs"

    column: str = "val_accuracy"
    """The curve; of an accuracy any moment counts, of another curve its last value."""
    at: float = 0.9
    """The level."""

    def find(self, runs: Sequence[CurveRun]) -> Finding:
        """Clopper and Pearson's exact interval."""
        values = [taken(run, self.column) for run in self.chosen(runs)]
        peak = self.column.endswith("accuracy")
        there = [bool((value.max() if peak else value.iloc[-1]) >= self.at) for value in values if len(value)]
        if not there:
            return NOTHING
        return share_of(sum(there), len(there))


@dataclass(frozen=True, kw_only=True)
class Forgets(Question):
    """The share of runs whose validation accuracy is reached, kept for a while, and lost for good."""

    NUMBER: ClassVar[str] = "share of runs"

    split: ClassVar[str] = "val"
    at: Share = 0.9
    """The accuracy."""

    def find(self, runs: Sequence[CurveRun]) -> Finding:
        """Clopper and Pearson's exact interval; the note says when."""
        lost = [
            forgetting(run.curves["step"].to_numpy(), run.curves["val_accuracy"].to_numpy(), float(np.float32(self.at)))
            for run in self.chosen(runs)
        ]
        if not lost:
            return NOTHING
        steps = [milestone.step for milestone in lost if milestone.event]
        when = f", at a median of {np.median(steps):,.0f} steps" if steps else ""
        return share_of(len(steps), len(lost), when)


@dataclass(frozen=True, kw_only=True)
class Value(Question):
    """The mean over seeds of a curve's last, largest or smallest value."""

    NUMBER: ClassVar[str] = "mean"

    column: str
    """The curve."""
    of: Literal["last", "max", "min"] = "last"
    """Which value of it."""

    def find(self, runs: Sequence[CurveRun]) -> Finding:
        """With a t-interval, none for a single run."""
        values = [value_of(run, self.column, self.of) for run in self.chosen(runs)]
        return mean_of([value for value in values if not math.isnan(value)])


@dataclass(frozen=True, kw_only=True)
class Difference(Question):
    """The mean difference of a curve's value between two settings, paired by everything else."""

    NUMBER: ClassVar[str] = "mean difference"

    column: str
    """The curve."""
    of: Literal["last", "max", "min"] = "last"
    """Which value of it."""
    one: Mapping[str, Any]
    """Settings of the first."""
    other: Mapping[str, Any]
    """Settings of the second, which is taken away from the first."""

    def find(self, runs: Sequence[CurveRun]) -> Finding:
        """With a t-interval over pairs."""
        pairs = self._pairs(runs, lambda run: value_of(run, self.column, self.of))
        return mean_of([a - b for a, b in pairs if not (math.isnan(a) or math.isnan(b))])

    def _pairs(self, runs: Sequence[CurveRun], value: Callable[[CurveRun], Any]) -> list[tuple[Any, Any]]:
        return paired(self.chosen(runs, self.one), self.chosen(runs, self.other), {*self.one, *self.other}, value)


@dataclass(frozen=True, kw_only=True)
class Ratio(Question):
    """How many times as long one setting takes as another to pass an accuracy, paired by everything else."""

    NUMBER: ClassVar[str] = "factor"

    split: Literal["train", "val"] = "val"
    """Whose accuracy."""
    at: Share = 0.9
    """The accuracy."""
    slow: Mapping[str, Any]
    """Settings of the one that is above the line."""
    fast: Mapping[str, Any]
    """Settings of the one below."""

    def find(self, runs: Sequence[CurveRun]) -> Finding:
        """With an interval in log time over pairs; one side that never got there leaves that end open."""
        pairs = paired(
            self.chosen(runs, self.slow),
            self.chosen(runs, self.fast),
            {*self.slow, *self.fast},
            lambda run: reached(run, self.split, self.at),
        )
        if not pairs:
            return NOTHING
        logs = [math.log10(slow / fast) for (slow, _), (fast, _) in pairs]
        mean, low, high = mean_interval(logs, SEED_SPREAD * math.sqrt(2))
        slow_missing = sum(not event for (_, event), _ in pairs)
        fast_missing = sum(not event for _, (_, event) in pairs)
        said = [
            f"{count} of {len(pairs)} {name} runs never got there"
            for name, count in (("slow", slow_missing), ("fast", fast_missing))
            if count
        ]
        return Finding(
            10**mean,
            -math.inf if fast_missing else 10**low,
            math.inf if slow_missing else 10**high,
            len(pairs),
            "; ".join(said),
        )


@dataclass(frozen=True, kw_only=True)
class Slope(Question):
    """The exponent by which the first passage of an accuracy follows a field: least squares in log-log."""

    NUMBER: ClassVar[str] = "exponent"

    split: Literal["train", "val"] = "val"
    """Whose accuracy."""
    at: Share = 0.9
    """The accuracy."""
    field: str
    """The field, by dotted name; runs in which it is 0 are left out."""
    wait: bool = False
    """Whether the time is counted from memorising (training accuracy 99 %) on."""

    def find(self, runs: Sequence[CurveRun]) -> Finding:
        """With a t-interval; no interval if a run never got there, since the fit is then biased."""
        points: list[tuple[float, float]] = []
        missing = 0
        for run in self.chosen(runs):
            step, event = reached(run, self.split, self.at)
            begun = reached(run, "train", 0.99)[0] if self.wait else 0.0
            if not event or step <= begun:
                missing += 1
            elif run.settings[self.field] > 0:
                points.append((math.log10(run.settings[self.field]), math.log10(step - begun)))
        if len({x for x, _ in points}) < 2 or len(points) < 3:
            return NOTHING
        fit = stats.linregress(*zip(*points, strict=True))
        width = float(stats.t.ppf(0.975, len(points) - 2)) * float(fit.stderr)
        if missing:
            note = f"{missing} runs never got there, so that the fit is biased"
            return Finding(float(fit.slope), math.nan, math.nan, len(points), note)
        return Finding(float(fit.slope), float(fit.slope) - width, float(fit.slope) + width, len(points))


def plateau(run: CurveRun, steps: pd.Series) -> int | None:
    """Return which of some steps is nearest, in log time, to the middle between memorising and generalising.

    That is between training accuracy 99 % and validation accuracy 50 %; None of a run that does not have them apart.
    """
    (begun, first), (ended, second) = reached(run, "train", 0.99), reached(run, "val", 0.5)
    if not (first and second and begun < ended and len(steps)):
        return None
    return int((np.log(steps.clip(lower=1)) - math.log(math.sqrt(begun * ended))).abs().argmin())


@dataclass(frozen=True, kw_only=True)
class Change(Question):
    """How many times as large a measure is at the end as on the plateau between memorising and generalising."""

    NUMBER: ClassVar[str] = "factor"

    column: str
    """The measure; the plateau is the middle, in log time, between training 99 % and validation 50 %."""

    def find(self, runs: Sequence[CurveRun]) -> Finding:
        """With a t-interval in logarithms over runs that have a plateau."""
        logs, without = [], 0
        for run in self.chosen(runs):
            known = taken_at(run, self.column)
            place = plateau(run, known["step"])
            if place is None:
                without += 1
                continue
            before, after = float(known[self.column].iloc[place]), float(known[self.column].iloc[-1])
            if before > 0 and after > 0:
                logs.append(math.log10(after / before))
        if not logs:
            return NOTHING
        mean, low, high = mean_interval(logs)
        note = f"{without} runs have no plateau" if without else ""
        return Finding(10**mean, 10**low, 10**high, len(logs), note)


@dataclass(frozen=True, kw_only=True)
class Beside(Question):
    """The quotient of two measures on the plateau between memorising and generalising."""

    NUMBER: ClassVar[str] = "quotient"

    column: str
    """The measure above the line."""
    beside: str
    """The one below; see `Change` for where the plateau is."""

    def quotient(self, run: CurveRun) -> pd.Series:
        """Return the quotient by step, where both were measured."""
        if not {self.column, self.beside} <= set(run.curves):
            return pd.Series(dtype=float)
        known = run.curves[["step", self.column, self.beside]].dropna().set_index("step")
        return known[self.column] / known[self.beside]

    def find(self, runs: Sequence[CurveRun]) -> Finding:
        """With a t-interval over runs that have a plateau."""
        asked = [(run, self.quotient(run)) for run in self.chosen(runs)]
        places = [(values, plateau(run, values.index.to_series())) for run, values in asked]
        return mean_of([float(values.iloc[place]) for values, place in places if place is not None])


@dataclass(frozen=True, kw_only=True)
class Order(Question):
    """How many times as late one curve passes half of its change for good as another, within a run."""

    NUMBER: ClassVar[str] = "factor"

    first: str
    """The curve that should be first."""
    then: str
    """The curve that should follow."""

    def find(self, runs: Sequence[CurveRun]) -> Finding:
        """With a t-interval in log time over runs in which both curves change."""
        logs, without = [], 0
        for run in self.chosen(runs):
            names = [name for name in (self.first, self.then) if name in run.curves]
            half = assembly_order(run.curves[["step", *names]]).set_index("measure")["half"]
            if {self.first, self.then} <= set(half.index):
                logs.append(math.log10(half[self.then] / half[self.first]))
            else:
                without += 1
        if not logs:
            return NOTHING
        mean, low, high = mean_interval(logs)
        note = f"in {without} runs one of the two does not change" if without else ""
        return Finding(10**mean, 10**low, 10**high, len(logs), note)


QUESTIONS: dict[str, type[Question]] = {
    "time": Time,
    "reached": Reached,
    "forgets": Forgets,
    "value": Value,
    "difference": Difference,
    "ratio": Ratio,
    "slope": Slope,
    "change": Change,
    "beside": Beside,
    "order": Order,
    "map": PublishedMap,
    "edge": Edge,
}
"""The kinds of question, by the name that a recipe gives."""
