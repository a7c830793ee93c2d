"""The clock of evaluations: grokking lives on a logarithmic one.

Curves are looked at 90 times per decade of steps, which resolves a milestone to 2.5 %; measures 15 times per decade.
The decades of the beginning are short: measures that cost several steps are kept that far apart there.
"""

from __future__ import annotations

import functools

import numpy as np

EVALUATIONS_PER_DECADE = 90
"""Evaluations of losses and accuracies per factor of ten in steps."""

MEASURE_EVERY = 6
"""Measures are taken at every sixth mark of the evaluations' grid, 15 per decade, and at the last step."""

APART = 3
"""Steps from one measurement to the next, at least: what the first steps do, the third shows."""


@functools.lru_cache(maxsize=256)
def evaluation_steps(budget: int) -> tuple[int, ...]:
    """Return the steps at which a run of `budget` steps is evaluated: 0, a logarithmic grid, and the budget."""
    marks = np.arange(int(np.ceil(EVALUATIONS_PER_DECADE * np.log10(budget))) + 1)
    grid = np.unique(np.rint(10 ** (marks / EVALUATIONS_PER_DECADE)).astype(np.int64))
    return (0, *(int(step) for step in grid if step < budget), budget)


@functools.lru_cache(maxsize=256)
def measure_steps(budget: int, apart: int = APART) -> frozenset[int]:
    """Return the steps at which measures are taken, a subset of `evaluation_steps`.

    Those with a larger `apart`, the steps from one to the next at least, are a subset of those without.
    """
    marks = np.arange(0, EVALUATIONS_PER_DECADE * np.log10(budget), MEASURE_EVERY)
    grid = [0, *np.rint(10 ** (marks / EVALUATIONS_PER_DECADE)).astype(int).tolist()]
    taken = _thinned(_thinned(grid, APART), apart)
    return frozenset({*(step for step in taken if step < budget), budget})


def _thinned(steps: list[int], apart: int) -> list[int]:
    taken = steps[:1]
    for step in steps[1:]:
        if step >= taken[-1] + apart:
            taken.append(step)
    return taken
