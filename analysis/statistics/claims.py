"""Claims of papers, put to runs: what a claim asks, what the runs say with a 95 % interval, and the verdict.

Every kind of question gives a number and an interval from whole curves. The claim names the region in which that number
should lie: the interval lies inside it (agrees), outside it (differs), or neither (cannot be told at this cost).
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy import stats

from grokcore.config.component import Component
from grokcore.records.milestones import first_passage

SEED_SPREAD = 0.15
"""Standard deviation over seeds of log10 of a time to generalise: the least assumed (published: 0.14 to 0.16)."""


class Verdict(enum.StrEnum):
    """What becomes of a claim."""

    AGREES = "agrees"
    DIFFERS = "differs"
    OPEN = "cannot be told at this cost"

    @staticmethod
    def counted(verdicts: Iterable[Verdict]) -> str:
        """Return how many there are of each, as "3 agree, 1 differs"."""
        counts = Counter(verdicts)
        shown = [(counts[one], str(one)) for one in Verdict if counts[one]]
        return ", ".join(f"{count} {said if count == 1 else said.removesuffix('s')}" for count, said in shown)


@dataclass(frozen=True)
class CurveRun:
    """One run as claims see it."""

    settings: Mapping[str, Any]
    """Its configuration, flat, under dotted names."""
    curves: pd.DataFrame
    """step, train_accuracy, val_accuracy, losses and measures."""


@dataclass(frozen=True)
class Finding:
    """What the runs say."""

    estimate: float
    """The number; NaN where the runs give none."""
    low: float
    """Lower end of its 95 % interval; minus infinity where nothing bounds it."""
    high: float
    """Upper end."""
    runs: int
    """Runs, or pairs of runs, that it is from."""
    note: str = ""
    """What the reader has to know of it: runs that never got there, say."""


@dataclass(frozen=True, kw_only=True)
class Question(Component):
    """The base of every kind of question; `low` and `high` bound the region in which its number should lie."""

    NUMBER: ClassVar[str]
    """What the number is, in a word or two."""

    low: float | None = None
    """Least number that agrees; none if there is no least."""
    high: float | None = None
    """Largest number that agrees; none if there is no largest."""
    where: Mapping[str, Any] = field(default_factory=dict)
    """Only runs with these settings, by dotted name."""

    def complaints(self) -> Iterator[str]:
        """Yield that no region is named, or an empty one."""
        if self.low is None and self.high is None:
            yield "low, high: give at least one of the two, the ends of the region in which the number should lie."
        elif self.low is not None and self.high is not None and self.low > self.high:
            yield f"low = {self.low:g}, high = {self.high:g}: low must not be above high."

    def chosen(self, runs: Sequence[CurveRun], more: Mapping[str, Any] | None = None) -> list[CurveRun]:
        """Return the runs that are asked."""
        wanted = {**self.where, **(more or {})}
        return [run for run in runs if all(run.settings.get(name) == value for name, value in wanted.items())]

    def verdict(self, found: Finding) -> Verdict:
        """Return what becomes of the claim."""
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if math.isnan(found.low) or math.isnan(found.high):
            return Verdict.OPEN
        if low <= found.low and found.high <= high:
            return Verdict.AGREES
        return Verdict.DIFFERS if found.high < low or found.low > high else Verdict.OPEN

    def find(self, runs: Sequence[CurveRun]) -> Finding:
        """Return what the runs say."""
        raise NotImplementedError


NOTHING = Finding(math.nan, math.nan, math.nan, 0, "no run has what is asked for")


def reached(run: CurveRun, split: str, at: float) -> tuple[float, bool]:
    """Return the step of the first passage, or the last step, and whether it was passed.

    Curves are kept in single precision, in which 9 of 10 are a little below .9: so the level is rounded as they are.
    """
    level = float(np.float32(at))
    passage = first_passage(run.curves["step"].to_numpy(), run.curves[f"{split}_accuracy"].to_numpy(), level)
    return float(max(passage.step, 1)), passage.event


def mean_interval(values: Sequence[float], least: float = 0.0) -> tuple[float, float, float]:
    """Return the mean and its 95 % t-interval; a spread below `least` counts as that, known (a normal interval)."""
    array = np.asarray(values, dtype=float)
    mean, n = float(array.mean()), len(array)
    spread = float(array.std(ddof=1)) if n > 1 else math.nan
    width = 1.96 * least / math.sqrt(n) if least else math.nan
    if n > 1:
        student = float(stats.t.ppf(0.975, n - 1)) * spread / math.sqrt(n)
        width = max(width, 1.96 * spread / math.sqrt(n)) if least else student
    return mean, mean - width, mean + width


def paired(
    one: Sequence[CurveRun], other: Sequence[CurveRun], apart: set[str], value: Callable[[CurveRun], Any]
) -> list[tuple[Any, Any]]:
    """Return the values of runs that differ in nothing but the fields `apart`, and in what lies below them."""
    sections = {name.removesuffix(".name") for name in apart if name.endswith(".name")}

    def key(run: CurveRun) -> str:
        rest = {
            name: setting
            for name, setting in run.settings.items()
            if name not in apart and not ("." in name and name.partition(".")[0] in sections)
        }
        return repr(sorted(rest.items(), key=lambda item: item[0]))

    known = {key(run): value(run) for run in other}
    return [(value(run), known[key(run)]) for run in one if key(run) in known]


def taken(run: CurveRun, column: str) -> pd.Series:
    """Return the values of a curve where it was taken; none if the run does not have it."""
    return run.curves[column].dropna() if column in run.curves else pd.Series(dtype=float)


def taken_at(run: CurveRun, column: str) -> pd.DataFrame:
    """Return step and value of a curve where it was taken; no rows if the run does not have it."""
    return run.curves[["step", column]].dropna() if column in run.curves else pd.DataFrame(columns=["step", column])


def value_of(run: CurveRun, column: str, of: str) -> float:
    """Return the last, largest or smallest value of a curve; NaN if the run does not have it."""
    values = taken(run, column)
    if not len(values):
        return math.nan
    return float({"last": values.iloc[-1], "max": values.max(), "min": values.min()}[of])


def mean_of(values: Sequence[float]) -> Finding:
    """Return the mean with its t-interval as a finding."""
    if not values:
        return NOTHING
    mean, low, high = mean_interval(values)
    return Finding(mean, low, high, len(values), "one run alone has no interval" if len(values) == 1 else "")
