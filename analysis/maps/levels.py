"""Levels of categories: one ensemble for each, or one for all that shares what the levels have in common.

The shared ensemble reads, beside a run's place on the axes, one column per level. A Gaussian process with a length
scale of its own for each column has the categorical kernel k(x, x') · c(a, b) in effect: levels a and b that behave
alike get long length scales and learn from each other's runs, others short ones (Roustant et al. 2020, arXiv
1802.02368, review such kernels). Where levels have little in common, columns only blur: then each level has an ensemble
of its own. Which it is, held-out runs decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analysis.models.ensemble import Ensemble
from analysis.runs.axes import Array
from analysis.runs.categories import Category, Level, level_code
from analysis.runs.run_table import FEWEST_RUNS, Runs
from grokcore.records.regimes import RegimeRule

GROWN = 2.0
"""Factor by which runs must have become more before sharing is decided again."""


@dataclass(frozen=True, kw_only=True)
class LevelEnsembles:
    """An ensemble for each level, of its own or one of all levels' runs."""

    ensembles: Mapping[Level, Ensemble]
    """By level; the same for all where it is shared."""
    codes: Mapping[Level, Array]
    """What stands after the axes' features in rows of a level; nothing where each has its own."""
    shared: bool
    """Whether one ensemble serves all levels."""
    gain: float
    """Nats a held-out run by which sharing predicts better than separate ensembles; NaN where only one was possible."""
    decided_at: int
    """Number of runs when this was decided."""

    @property
    def sentence(self) -> str:
        """Return in words whether levels share and why."""
        how = "share one model" if self.shared else "have a model each"
        if np.isnan(self.gain):
            return f"levels {how}: some have too few runs for their own" if self.shared else f"levels {how}"
        return f"levels {how}, which predicts held-out runs better by {abs(self.gain):.2g} nats a run"


def fit_levels(
    runs: Runs,
    points: Array,
    rows: Mapping[Level, npt.NDArray[np.intp]],
    categories: tuple[Category, ...],
    rule: RegimeRule,
    seed: int,
    start: LevelEnsembles | None = None,
) -> LevelEnsembles:
    """Fit ensembles to runs at feature rows `points`, shared or separate: whichever predicts held-out runs better.

    `rows` says which runs are at which level. A `start` fitted to at least half as many runs keeps its decision.
    """
    if start is not None and set(start.ensembles) != set(rows):
        start = None
    decided = start is not None and len(points) < GROWN * start.decided_at
    enough = min(map(len, rows.values())) >= FEWEST_RUNS
    separate = joint = None
    if enough and not (decided and start is not None and start.shared):
        before = start.ensembles if start is not None and not start.shared else {}
        separate = {
            level: Ensemble.fit(runs.rows(own), points[own], rule, seed, before.get(level))
            for level, own in rows.items()
        }
    if separate is None or not decided:
        first = next(iter(start.ensembles.values())) if start is not None and start.shared else None
        joint = Ensemble.fit(runs, _coded(points, rows, categories), rule, seed, first)
    gain = _gain(joint, separate, rows) if joint is not None and separate is not None else float("nan")
    if decided and start is not None:
        gain = start.gain
    decided_at = start.decided_at if decided and start is not None else len(points)
    if separate is not None and (joint is None or gain <= 0):
        codes = {level: np.zeros(0) for level in rows}
        return LevelEnsembles(ensembles=separate, codes=codes, shared=False, gain=gain, decided_at=decided_at)
    if joint is None:
        raise AssertionError("one of the two is always fitted")
    codes = {level: level_code(categories, level) for level in rows}
    return LevelEnsembles(
        ensembles=dict.fromkeys(rows, joint), codes=codes, shared=True, gain=gain, decided_at=decided_at
    )


def refit_levels(
    before: LevelEnsembles,
    runs: Runs,
    points: Array,
    rows: Mapping[Level, npt.NDArray[np.intp]],
    categories: tuple[Category, ...],
    seed: int,
) -> LevelEnsembles:
    """Return the same ensembles told other runs at the same levels, all that was learned of them kept."""
    if before.shared:
        first = next(iter(before.ensembles.values()))
        return replace(
            before, ensembles=dict.fromkeys(rows, first.refitted(runs, _coded(points, rows, categories), seed))
        )
    ensembles = {
        level: before.ensembles[level].refitted(runs.rows(own), points[own], seed) for level, own in rows.items()
    }
    return replace(before, ensembles=ensembles)


def _coded(points: Array, rows: Mapping[Level, npt.NDArray[np.intp]], categories: tuple[Category, ...]) -> Array:
    """Return the feature rows with the columns of their levels."""
    width = len(level_code(categories, next(iter(rows))))
    columns = np.zeros((len(points), width))
    for level, own in rows.items():
        columns[own] = level_code(categories, level)
    return np.column_stack([points, columns])


def _gain(joint: Ensemble, separate: Mapping[Level, Ensemble], rows: Mapping[Level, npt.NDArray[np.intp]]) -> float:
    """Return the mean difference in held-out log score over the runs that both predicted."""
    apart = np.full(len(joint.held_out_scores), np.nan)
    for level, own in rows.items():
        apart[own] = separate[level].held_out_scores
    difference = joint.held_out_scores - apart
    both = np.isfinite(difference)
    return float(difference[both].mean()) if both.any() else 0.0
