"""Milestones known only between two evaluations: the interval each lies in, and that of the delay between them.

An optional column ``t_gen_lower`` (``t_mem_lower``, ``t_val_090_lower``, …) holds the last evaluation at which a run
had not reached what it had at ``t_gen``. Where the two are far apart the run is *interval-censored*: its time lies
somewhere between them, and models that took the later one for the time would draw every edge too late.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.runs.cells import Array
from analysis.runs.run_table import FINE, Runs

GRID_STEP = 1.025
"""Ratio of our own evaluation steps: a crossing happened in the last 2.5 % before it, unless a column says."""
SMALLEST_DELAY = 0.1
"""Delays below this share of t_mem count as "small", since t_mem itself is no surer than that."""


def milestone_interval(runs: Runs, name: str) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Return the ends of where t_mem or t_gen lies, in steps, and where it is an interval; censored at the last step.

    For a censored milestone both ends are the last step, in finite steps; for one told by a step alone, that step.
    """
    step, event = runs.milestone(name)
    step = np.where(np.isfinite(step), step, runs.budget_limit)
    lower = runs.lower(name)
    wide = event & (step > FINE * np.where(np.isnan(lower), step, lower))
    return np.where(wide, lower, step), step, wide


def evaluated_before(runs: Runs, name: str) -> Array:
    """Return the step of the evaluation before a milestone's, −∞ where the table does not say."""
    lower = runs.lower(name)
    return np.where(np.isnan(lower), -np.inf, lower)


def log_interval(runs: Runs, name: str) -> tuple[Array, Array, Array]:
    """Return low and high ends of a milestone in log10 steps, as models take them, and the rounding of the exact ones.

    The ends are equal for a milestone that was seen, (value, ∞) for a censored one, (−∞, value) for one that the first
    evaluation had already reached.
    """
    _, event = runs.milestone(name)
    low, high, wide = milestone_interval(runs, name)
    centre, blur = grid_interval(high, evaluated_before(runs, name))
    with np.errstate(divide="ignore"):
        below = np.where(wide, np.log10(low), np.where(event, centre, np.log10(np.maximum(high, 0.5))))
        above = np.where(wide, np.log10(high), np.where(event, below, np.inf))
    return below, above, blur


def delay_ends(runs: Runs) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Return between which steps the delay t_gen − t_mem lies, and where it is an interval: elsewhere both are equal.

    Of a run that did not generalise both are what was seen of its delay. Between two evaluations t_mem is taken at the
    geometric middle: wherever a delay is known at all, its own interval is far wider.
    """
    mem_low, mem_high, mem_wide = milestone_interval(runs, "t_mem")
    gen_low, gen_high, gen_wide = milestone_interval(runs, "t_gen")
    unreached = ~np.isfinite(runs.milestone("t_mem")[0])
    mem = np.where(mem_wide, np.sqrt(np.maximum(mem_low, 1.0) * mem_high), np.where(unreached, gen_high, mem_high))
    return np.maximum(gen_low - mem, 0.0), np.maximum(gen_high - mem, 0.0), gen_wide


def delay_interval(runs: Runs) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Return the ends of the delay as models take them, in steps, and which runs tell of it at all.

    The ends are equal for a delay that was seen, (delay, ∞) where the run did not generalise, and (0, end) for one that
    the evaluations or the seeds' spread of t_mem cannot tell from zero.
    """
    (mem, mem_event), (_, gen_event) = runs.milestone("t_mem"), runs.milestone("t_gen")
    gen = milestone_interval(runs, "t_gen")[1]
    least, delay, wide = delay_ends(runs)
    floor = np.maximum(SMALLEST_DELAY * np.where(mem_event, mem, gen), (GRID_STEP - 1.0) * gen)
    floor = np.maximum(floor, 1.0)
    small = gen_event & (least < floor)
    low = np.where(small, 0.0, least)
    high = np.where(small, np.where(wide, np.maximum(floor, delay), floor), np.where(gen_event, delay, np.inf))
    return low, high, (mem_event & (gen_event | (delay >= 1.0))) | (gen_event & ~mem_event)


def grid_interval(step: Array, lower: Array | float = -np.inf) -> tuple[Array, Array]:
    """Return middle and standard deviation, in log10, of where a crossing recorded at `step` happened.

    The evaluation before it was at `lower`, or where nobody says so (−∞), where our own clock has it.
    """
    whole = step == np.round(step)
    before = np.maximum(np.minimum(step - 1.0, step / GRID_STEP), 0.5)
    before = np.where(np.isfinite(lower), np.maximum(lower, 0.5), before)
    width = np.where(whole, np.log10(np.maximum(step, 1.0) / before), 0.0)
    return np.log10(np.maximum(step, 0.5)) - width / 2, width / np.sqrt(12.0)
