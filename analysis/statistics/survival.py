"""Survival analysis of the time to generalise: Kaplan–Meier curves, the log-rank test, the restricted mean.

Each takes the last evaluations before the milestones as well, where a table has them (t_gen_lower): times far from
them are known only to lie between the two, and the curve is then Turnbull's (`analysis.statistics.turnbull`).

A mean over runs that generalised ignores those that did not, and a mean with the budget in their place depends on the
budget; the restricted mean up to a stated horizon is what can be estimated. All of it assumes that runs were censored
for reasons apart from their own speed: fixed budgets are, adaptively stopped runs are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from analysis.runs.axes import Array
from analysis.runs.run_table import FINE, known_column
from analysis.statistics.turnbull import log_rank_scores, means_until, turnbull
from grokcore.errors import DataError

DRAWS = 200
"""Resamples of the runs behind a 95 % interval where times are known by intervals only."""


class LogRank(NamedTuple):
    """The log-rank test of two groups: its statistic (standard normal under equality) and two-sided p-value."""

    statistic: float
    p_value: float


class Mean(NamedTuple):
    """A restricted mean in steps with its 95 % interval."""

    mean: float
    low: float
    high: float


def _censored(steps: npt.ArrayLike, events: npt.ArrayLike) -> stats.CensoredData:
    step, event = np.asarray(steps, dtype=float), np.asarray(events, dtype=bool)
    if not len(step):
        raise DataError("no run to draw a survival curve from.")
    return stats.CensoredData(uncensored=step[event], right=step[~event])


def _ends(steps: npt.ArrayLike, events: npt.ArrayLike, lower: npt.ArrayLike | None) -> tuple[Array, Array] | None:
    """Return between which steps the times lie, a censored one without end; None where each is exact or censored."""
    step, event = np.asarray(steps, dtype=float), np.asarray(events, dtype=bool)
    before = np.full(len(step), np.nan) if lower is None else np.asarray(lower, dtype=float)
    wide = event & (step > FINE * np.where(np.isnan(before), step, before))
    return (np.where(wide, before, step), np.where(event, step, np.inf)) if wide.any() else None


def between(steps: npt.ArrayLike, events: npt.ArrayLike, lower: npt.ArrayLike) -> bool:
    """Say whether some times are known only between two evaluations that are far apart."""
    return _ends(steps, events, lower) is not None


def kaplan_meier(steps: npt.ArrayLike, events: npt.ArrayLike, lower: npt.ArrayLike | None = None) -> pd.DataFrame:
    """Return the share of runs that had not generalised by each step: step, survival, low, high (95 %), at_risk.

    The curve starts at (0, 1); intervals are on the log-log scale, which keeps them within [0, 1]. `lower` has the
    evaluation before each step: where it is far from it the curve is Turnbull's, with both ends of every interval in
    which it falls, and bands from resampled runs.
    """
    if (ends := _ends(steps, events, lower)) is not None:
        return _by_intervals(*ends)
    step, event = np.asarray(steps, dtype=float), np.asarray(events, dtype=bool)
    found = stats.ecdf(_censored(step, event)).sf
    times, survival = np.asarray(found.quantiles), np.asarray(found.probabilities)
    at_risk = np.array([(step >= time).sum() for time in times])
    deaths = np.array([((step == time) & event).sum() for time in times])
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.cumsum(deaths / (at_risk * np.maximum(at_risk - deaths, 0)))
        width = 1.96 * np.sqrt(variance) / np.log(survival)
        low, high = survival ** np.exp(-width), survival ** np.exp(width)
    flat = ~((survival > 0) & (survival < 1))
    low, high = np.where(flat, survival, low), np.where(flat, survival, high)
    table = pd.DataFrame({"step": times, "survival": survival, "low": low, "high": high, "at_risk": at_risk})
    start = pd.DataFrame({"step": [0.0], "survival": [1.0], "low": [1.0], "high": [1.0], "at_risk": [len(step)]})
    return pd.concat([start, table], ignore_index=True)


def _by_intervals(low: Array, high: Array) -> pd.DataFrame:
    """Return Turnbull's curve of times in (low, high]: what was left at each interval's ends, lower and upper."""
    found = turnbull(low, high, DRAWS)
    every = 1.0 - np.cumsum(np.vstack([found.share, found.draws]), axis=1)
    left = np.column_stack([np.ones(len(every)), every.clip(0.0, 1.0)])
    falls = np.flatnonzero((found.share > 1e-6) & np.isfinite(found.high))
    rows = np.column_stack([falls, falls + 1]).ravel()
    bands = np.quantile(left[1:, rows], [0.025, 0.975], axis=0)
    step = np.column_stack([found.low[falls], found.high[falls]]).ravel()
    columns = {"step": step, "survival": left[0, rows], "low": bands[0], "high": bands[1]}
    columns["at_risk"] = np.repeat([(high > found.low[fall]).sum() for fall in falls], 2)
    start = pd.DataFrame({"step": [0.0], "survival": [1.0], "low": [1.0], "high": [1.0], "at_risk": [len(low)]})
    return pd.concat([start, pd.DataFrame(columns)], ignore_index=True)


def log_rank(
    first_steps: npt.ArrayLike,
    first_events: npt.ArrayLike,
    second_steps: npt.ArrayLike,
    second_events: npt.ArrayLike,
    lower: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
) -> LogRank:
    """Test whether two groups of runs generalise at the same rate; p is 1 when neither ever does.

    `lower` has the evaluations before the steps of each group. Where they are far from them it is the test for
    intervals (Sun 1996) with the variance over permutations of the groups, for which censoring must be alike in both.
    """
    if not (np.any(first_events) or np.any(second_events)):
        return LogRank(0.0, 1.0)
    before = None if lower is None else np.concatenate([np.asarray(one, dtype=float) for one in lower])
    ends = _ends(np.append(first_steps, second_steps), np.append(first_events, second_events), before)
    if ends is None:
        found = stats.logrank(_censored(first_steps, first_events), _censored(second_steps, second_events))
        return LogRank(float(found.statistic), float(found.pvalue))
    score, n, first = log_rank_scores(*ends), len(ends[0]), np.size(first_steps)
    variance = first * (n - first) / n * np.var(score, ddof=1)
    excess = score[:first].sum() - first * score.mean()
    statistic = float(excess / np.sqrt(variance)) if variance > 0 else 0.0
    return LogRank(statistic, float(2 * stats.norm.sf(abs(statistic))))


def restricted_mean(
    steps: npt.ArrayLike, events: npt.ArrayLike, horizon: float, lower: npt.ArrayLike | None = None
) -> Mean:
    """Return the mean of min(time to generalise, horizon): the area under the survival curve, with a 95 % interval.

    Times known between two evaluations (`lower` has the first of them) are spread evenly over log steps. Raises
    `DataError` when no run was followed to the horizon and some did not generalise: the curve ends before it.
    """
    last = float(np.max(np.asarray(steps, dtype=float)))
    if last < horizon and not np.all(np.asarray(events, dtype=bool)[np.asarray(steps, dtype=float) == last]):
        raise DataError(f"horizon {horizon:g} is beyond the last step any run was followed to, {last:g}; ask for less.")
    if (ends := _ends(steps, events, lower)) is not None:
        average, draws = means_until(turnbull(*ends, DRAWS), horizon)
        return Mean(average, *(float(end) for end in np.quantile(draws, [0.025, 0.975])))
    curve = kaplan_meier(steps, events)
    at = curve["step"].to_numpy()
    inside = at < horizon
    edges = np.append(at[inside], horizon)
    areas = curve["survival"].to_numpy()[inside] * np.diff(edges)
    mean = float(areas.sum())
    variance = _area_variance(np.asarray(steps, dtype=float), np.asarray(events, dtype=bool), edges[:-1], areas)
    spread = 1.96 * float(np.sqrt(variance))
    return Mean(mean, max(mean - spread, 0.0), min(mean + spread, horizon))


def _area_variance(step: Array, event: npt.NDArray[np.bool_], starts: Array, areas: Array) -> float:
    """Return Greenwood's variance of the area under the curve."""
    later = np.cumsum(areas[::-1])[::-1]
    total = 0.0
    for start, rest in zip(starts[1:], later[1:], strict=True):
        deaths, at_risk = ((step == start) & event).sum(), (step >= start).sum()
        if at_risk > deaths:
            total += rest**2 * deaths / (at_risk * (at_risk - deaths))
    return float(total)


def cells(runs: pd.DataFrame, by: Sequence[str], horizon: float) -> pd.DataFrame:
    """Return one row per cell of equal `by` values: runs, generalised, restricted mean with interval, and a test.

    `p_value` is the log-rank test of the cell against all other runs. `runs` has t_gen and t_gen_event, and where times
    are known only between two evaluations t_gen_lower.
    """
    columns = [known_column(runs, name) for name in by]
    rows = []
    for key, cell in runs.groupby(columns, sort=True):
        rest = runs.drop(cell.index)
        last = min(horizon, float(cell["t_gen"].max()))
        lower = (cell["t_gen_lower"], rest["t_gen_lower"]) if "t_gen_lower" in runs.columns else (None, None)
        mean = restricted_mean(cell["t_gen"], cell["t_gen_event"], last, lower[0])
        times = cell["t_gen"], cell["t_gen_event"], rest["t_gen"], rest["t_gen_event"]
        test = log_rank(*times, None if lower[0] is None else lower) if len(rest) else None
        rows.append(
            dict(zip(columns, key if isinstance(key, tuple) else (key,), strict=True))
            | {"runs": len(cell), "generalised": int(cell["t_gen_event"].sum())}
            | {"horizon": last, **mean._asdict()}
            | {"p_value": test.p_value if test else float("nan")}
        )
    return pd.DataFrame(rows)
