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


@functools.lru_cache(maxsize=256)
def evaluation_steps(budget: int) -> tuple[int, ...]:
    """Return the steps at which a run of `budget` steps is evaluated: 0, a logarithmic grid, and the budget."""
    marks = np.arange(int(np.ceil(EVALUATIONS_PER_DECADE * np.log10(budget))) + 1)
    grid = np.unique(np.rint(10 ** (marks / EVALUATIONS_PER_DECADE)).astype(np.int64))
    return (0, *(int(step) for step in grid if step < budget), budget)


@functools.lru_cache(maxsize=256)
def measure_steps(budget: int, apart: int = 1) -> frozenset[int]:
    """Return the steps at which measures are taken, `apart` or more from one to the next but for the last.

    A subset of `evaluation_steps`, and of these steps with `apart` 1.
    """
    marks = np.arange(0, EVALUATIONS_PER_DECADE * np.log10(budget), MEASURE_EVERY)
    taken = [0]
    for step in np.rint(10 ** (marks / EVALUATIONS_PER_DECADE)).astype(int).tolist():
        if taken[-1] + apart <= step < budget:
            taken.append(step)
    return frozenset({*taken, budget})
