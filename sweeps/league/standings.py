"""Standings: what the kept runs say of every method against the tuned baseline, counted and corrected."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.runs.axes import Array
from analysis.statistics.paired_times import Speedup, Times, holm, log_ratios, speedup
from sweeps.league.entries import AGAIN, BASELINE, problems
from sweeps.league.ledger import Ledger

ALARM = 0.05
"""Corrected p-value from which on a difference counts as seen."""


class Verdict(enum.StrEnum):
    """What is seen of a method."""

    SOONER = "sooner"
    LATER = "later"
    OPEN = "no difference seen"
    NEVER = "diverged everywhere"


@dataclass(frozen=True)
class Final:
    """The final runs of a method on a problem at one fraction, in the order of their seeds."""

    steps: Times
    """When each stayed above the threshold, in steps."""
    seconds: Times
    """The same in core-seconds, what was spent before the run began included."""
    diverged: int
    """Runs that diverged."""
    failed: int
    """Runs that raised an error."""

    @property
    def never(self) -> int:
        """Return how many runs did not get there within the budget."""
        return int((~self.steps.events).sum())


@dataclass(frozen=True)
class Result:
    """A method against the baseline on a problem at one fraction."""

    method: str
    problem: str
    fraction: float
    base: Final
    """The baseline's runs."""
    own: Final
    """The method's."""
    steps: Speedup
    """How many times sooner in steps."""
    seconds: Speedup
    """How many times sooner in core-seconds."""
    corrected: float = 1.0
    """The p-value in steps, corrected for all results of the league."""

    @property
    def logs(self) -> Array:
        """Return ln of each pair's ratio of steps."""
        return log_ratios(self.base.steps, self.own.steps)

    @property
    def verdict(self) -> Verdict:
        """Return what is seen."""
        if self.own.diverged == len(self.own.steps.steps):
            return Verdict.NEVER
        if self.corrected > ALARM:
            return Verdict.OPEN
        return Verdict.SOONER if self.steps.ratio > 1 else Verdict.LATER


def final(ledger: Ledger, problem: str, fraction: float) -> Final | None:
    """Return the final runs; None where there are none."""
    runs = ledger.runs
    here = runs[(runs["problem"] == problem) & (runs["fraction"] == fraction)]
    finals = here[here["stage"] == "final"].sort_values("seed")
    if not len(finals):
        return None
    budget = problems()[problem].steps
    pace = min(
        float(stage["seconds"].sum() / stage["steps"].sum())
        for _, stage in here.groupby("stage")
        if stage["steps"].sum()
    )
    steps = Times.within(finals["step"], finals["event"], budget)
    seconds = Times(steps.steps * pace + finals["before"].to_numpy(dtype=float), steps.events)
    outcomes = finals["outcome"].value_counts()
    return Final(steps, seconds, int(outcomes.get("diverged", 0)), int(outcomes.get("failed", 0)))


def results(ledgers: Mapping[str, Ledger]) -> list[Result]:
    """Return every method on every problem and fraction for which it and the baseline have finals of the same seeds."""
    found = [] if BASELINE not in ledgers else list(_results(ledgers))
    corrected = holm([result.steps.p_value for result in found])
    return [replace(result, corrected=value) for result, value in zip(found, corrected, strict=True)]


def _results(ledgers: Mapping[str, Ledger]) -> Iterator[Result]:
    for problem in problems().values():
        for fraction in sorted(problem.fractions):
            base = final(ledgers[BASELINE], problem.name, fraction)
            for name, ledger in ledgers.items():
                own = final(ledger, problem.name, fraction)
                if name == BASELINE or base is None or own is None or len(own.steps.steps) != len(base.steps.steps):
                    continue
                yield Result(
                    name,
                    problem.name,
                    fraction,
                    base,
                    own,
                    speedup(log_ratios(base.steps, own.steps)),
                    speedup(log_ratios(base.seconds, own.seconds)),
                )


@dataclass(frozen=True)
class Standing:
    """A method over all problems that it was tried on."""

    method: str
    results: tuple[Result, ...]
    steps: Speedup
    """Geometric mean over problems and fractions, seed by seed."""
    seconds: Speedup
    """The same in core-seconds."""
    corrected: float = 1.0
    """The p-value in steps, corrected for the number of methods."""

    def count(self, verdict: Verdict) -> int:
        """Return on how many problems and fractions that is seen."""
        return sum(result.verdict is verdict for result in self.results)


def standings(found: Sequence[Result]) -> list[Standing]:
    """Return every method over all its results, the fastest first."""
    table = pd.Series(list(found), index=[result.method for result in found], dtype=object)
    ordered = []
    for name, own in table.groupby(level=0, sort=False):
        steps = np.mean([result.logs for result in own], axis=0)
        seconds = np.mean([log_ratios(result.base.seconds, result.own.seconds) for result in own], axis=0)
        ordered.append(Standing(str(name), tuple(own), speedup(steps), speedup(seconds)))
    corrected = holm([standing.steps.p_value for standing in ordered])
    ordered = [replace(standing, corrected=value) for standing, value in zip(ordered, corrected, strict=True)]
    return sorted(ordered, key=lambda standing: -standing.steps.ratio)


def luck(ordered: Sequence[Standing]) -> float:
    """Return how far luck in tuning goes: the larger end of the interval of the baseline that was tuned again, or 1."""
    again = [standing.steps for standing in ordered if standing.method == AGAIN]
    return max((max(found.high, 1 / found.low if found.low else 1.0) for found in again), default=1.0)
