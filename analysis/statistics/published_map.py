"""A published map put to runs, cell by cell, beside what our own seeds agree in, and how far ours has another edge."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le

from analysis.statistics.claims import NOTHING, CurveRun, Finding, Question, reached
from grokcore.errors import ConfigError
from grokcore.records.milestones import Milestone
from grokcore.records.regimes import REGIMES, Regime, RegimeRule

LETTERS = {"x": Regime.CONFUSION, "m": Regime.MEMORIZATION, "g": Regime.GROKKING, "c": Regime.COMPREHENSION}
"""How a published cell is written."""
NEAR = 2e-3
"""Relative difference within which a setting is a published one: they are printed with three digits or more."""
RESAMPLES = 2000
"""Bootstrap samples behind an interval."""

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class PublishedMap(Question):
    """How much less like the published map our maps are, by Cohen's kappa, than they are like one another.

    A map of ours is the regimes of one seed's runs at the published cells. The number is the mean kappa of pairs of our
    seeds, which is the most that could be asked for, less the mean kappa of a seed and the published map: 0 if the
    published map is like one more seed. Its interval resamples cells.
    """

    NUMBER: ClassVar[str] = "κ between our seeds less κ with the published"

    axes: Mapping[str, tuple[float, ...]]
    """The two fields by dotted name, that of the rows first, and their values."""
    rows: tuple[str, ...]
    """The regimes, a row for each value of the first field: c, g, m, or x for confusion."""
    threshold: Annotated[float, Gt(0), Le(1)] = 0.9
    """Accuracy that counts as learned, and with the next three the rule under which the rows are written."""
    budget: Annotated[int, Ge(1)]
    """Steps within which it counts."""
    gap: float | None = None
    """Steps of delay from which on it is grokking."""
    ratio: float | None = None
    """The same as a factor."""

    def complaints(self) -> Iterator[str]:
        """Yield what is wrong with the region, the rule, or the shape and letters of the rows."""
        yield from super().complaints()
        try:
            _ = self.rule
        except ConfigError as error:
            yield from error.complaints
        sizes = [len(values) for values in self.axes.values()]
        if len(sizes) != 2:
            yield f"axes: {len(sizes)} fields; give two, that of the rows first."
        elif [len(self.rows), *{len(row) for row in self.rows}] != sizes:
            yield f"rows: should be {sizes[0]} of {sizes[1]} letters each, as axes has values."
        if wrong := sorted(set("".join(self.rows)) - set(LETTERS)):
            yield f"rows: {', '.join(wrong)} is no regime; write {', '.join(LETTERS)}."

    @property
    def rule(self) -> RegimeRule:
        """Return the rule under which the rows are written."""
        return RegimeRule(threshold=self.threshold, budget=self.budget, gap=self.gap, ratio=self.ratio)

    @property
    def published(self) -> Labels:
        """Return the published regimes as indices into `REGIMES`, (rows, columns)."""
        return np.array([[REGIMES.index(LETTERS[letter]) for letter in row] for row in self.rows])

    def regime(self, run: CurveRun) -> Regime:
        """Return a run's regime under the rule of the published map."""
        mem, gen = (reached(run, split, self.threshold) for split in ("train", "val"))
        return self.rule.label(*(Milestone(event=event, step=int(step)) for step, event in (mem, gen)))

    def cell(self, run: CurveRun) -> tuple[int, int] | None:
        """Return a run's place among the published cells; None for one that lies elsewhere."""
        place = []
        for name, values in self.axes.items():
            found = np.flatnonzero(np.isclose(values, float(run.settings[name]), rtol=NEAR, atol=0.0))
            if not len(found):
                return None
            place.append(int(found[0]))
        return place[0], place[1]

    def maps(self, runs: Sequence[CurveRun]) -> Labels:
        """Return a map of every seed with as many cells as any, (seeds, rows, columns); −1 where there is no run."""
        found: dict[object, Labels] = defaultdict(lambda: np.full(self.published.shape, -1))
        for run in self.chosen(runs):
            if (cell := self.cell(run)) is not None:
                found[run.settings.get("seed")][cell] = REGIMES.index(self.regime(run))
        most = max(((labels >= 0).sum() for labels in found.values()), default=0)
        whole = [labels for labels in found.values() if (labels >= 0).sum() == most]
        return np.array(whole) if whole else np.empty((0, *self.published.shape), dtype=np.int64)

    def find(self, runs: Sequence[CurveRun]) -> Finding:
        """Nothing of fewer than two seeds, which have no agreement with one another."""
        ours = self.maps(runs)
        if len(ours) < 2:
            return NOTHING
        shared = (ours >= 0).all(0)
        theirs, mine = self.published[shared], ours[:, shared]
        drawn = np.random.default_rng(0).integers(len(theirs), size=(RESAMPLES, len(theirs)))
        cells = np.concatenate([np.arange(len(theirs))[None], drawn])
        ceiling = np.mean([kappa(a[cells], b[cells]) for a, b in itertools.combinations(mine, 2)], axis=0)
        with_theirs = np.mean([kappa(one[cells], theirs[cells]) for one in mine], axis=0)
        short = ceiling - with_theirs
        low, high = np.nanquantile(short[1:], [0.025, 0.975])
        alike = np.mean([a == b for a, b in itertools.combinations(mine, 2)])
        note = (
            f"{np.mean(mine == theirs):.0%} of {mine.size} cells of {len(mine)} seeds as published "
            f"(κ {with_theirs[0]:.2f}); our seeds with one another {alike:.0%} (κ {ceiling[0]:.2f}); "
            f"{self._edge(ours)}{self._beyond(runs)}"
        )
        return Finding(float(short[0]), float(low), float(high), len(mine), note)

    def _edge(self, ours: Labels) -> str:
        """Say how far along the rows' field our edge of generalising lies from the published one, over the columns."""
        shared = np.all(ours >= 0, axis=0)
        rows, columns = np.any(shared, axis=1), np.any(shared, axis=0)
        name, values = next(iter(self.axes.items()))
        at = np.array(values)[rows]
        log = bool((at > 0).all())
        width = np.gradient(np.log10(at) if log else at)
        learned = [REGIMES.index(regime) for regime in (Regime.GROKKING, Regime.COMPREHENSION)]
        mine, theirs = (np.isin(labels[..., rows, :][..., columns], learned) for labels in (ours, self.published))
        # Where one stretch of each column is learned, the sum of its cells' widths moves with the edge at its end: up
        # from a stretch that begins at the low end of the field, and down from one at the high end.
        side = 1.0 if theirs[0].sum() >= theirs[-1].sum() else -1.0
        moved = side * ((mine.astype(float) - theirs) * width[:, None]).sum(1).mean(0)
        draws = np.random.default_rng(0).integers(len(moved), size=(RESAMPLES, len(moved)))
        ends = [float(moved.mean()), *(float(end) for end in np.quantile(moved[draws].mean(1), [0.025, 0.975]))]
        shift, low, high = (10**end for end in ends) if log else ends
        size = (
            f"{shift:.2f} times ({low:.2f} to {high:.2f})" if log else f"{shift:+.2g} ({low:+.2g} to {high:+.2g}) from"
        )
        return f"the edge of generalising lies at {size} the published {name}"

    def _beyond(self, runs: Sequence[CurveRun]) -> str:
        """Say what is beyond the published cells; nothing if no run is."""
        counts = Counter(str(self.regime(run)) for run in self.chosen(runs) if self.cell(run) is None)
        said = ", ".join(f"{count} {name}" for name, count in counts.most_common())
        return f"; beyond the published cells: {said}" if said else ""


def kappa(one: Labels, other: Labels) -> npt.NDArray[np.float64]:
    """Return Cohen's kappa of labels along the last axis, (…); NaN where both have one label only."""
    agree = (one == other).mean(-1)
    by_chance = sum((one == label).mean(-1) * (other == label).mean(-1) for label in range(len(REGIMES)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(by_chance < 1, (agree - by_chance) / (1 - by_chance), math.nan))
