"""Where in a plane of two fields runs begin to generalise, and by which power of the one field that moves the other."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt, Le
from scipy import stats

from analysis.statistics.claims import NOTHING, CurveRun, Finding, Question, reached

FEWEST = 3
"""Edges that a fit needs."""


@dataclass(frozen=True, kw_only=True)
class Edge(Question):
    """The exponent by which the least value of a field at which an accuracy is passed follows another field.

    For every value of the other field, the edge lies halfway, in logarithms, between the least value of the field at
    which a run passed and the next one below. A value at which no run passed, or at which the lowest one did, has none.
    """

    NUMBER: ClassVar[str] = "exponent"

    split: ClassVar[str] = "val"
    at: Annotated[float, Gt(0), Le(1)] = 0.9
    """The accuracy, at any moment."""
    field: str
    """The field along which the edge is sought, by dotted name."""
    along: str
    """The field that it follows."""

    def edges(self, runs: Sequence[CurveRun]) -> list[tuple[float, float, float]]:
        """Return the other field's value, and the field's below and above the edge, for all values that have one."""
        passed: dict[float, dict[float, bool]] = defaultdict(dict)
        for run in self.chosen(runs):
            place, row = float(run.settings[self.field]), passed[float(run.settings[self.along])]
            row[place] = row.get(place, False) or reached(run, self.split, self.at)[1]
        found = []
        for value, row in sorted(passed.items()):
            places = sorted(row)
            first = next((index for index, place in enumerate(places) if row[place]), 0)
            if first > 0 and value > 0:
                found.append((value, places[first - 1], places[first]))
        return found

    def find(self, runs: Sequence[CurveRun]) -> Finding:
        """Least squares in log-log with a t-interval, no narrower than the cells between which edges lie allow."""
        edges = self.edges(runs)
        values = {float(run.settings[self.along]) for run in self.chosen(runs)}
        if len(edges) < FEWEST:
            return NOTHING
        x, below, above = np.log10(np.array(edges)).T
        fit = stats.linregress(x, (below + above) / 2)
        # An edge lies anywhere in its cell with equal chance: its standard deviation is the width over the root of 12.
        cell = math.sqrt(float(((above - below) ** 2).mean()) / 12 / float(((x - x.mean()) ** 2).sum()))
        width = max(float(stats.t.ppf(0.975, len(x) - 2)) * float(fit.stderr), 1.96 * cell)
        slope = float(fit.slope)
        note = f"{len(edges)} of {len(values)} values have an edge inside the box"
        return Finding(slope, slope - width, slope + width, len(edges), note)
