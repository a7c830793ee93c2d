"""Survival analysis of the time to generalise: Kaplan–Meier curves, the log-rank test, the restricted mean.

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
from analysis.runs.run_table import known_column
from grokcore.errors import DataError


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


def kaplan_meier(steps: npt.ArrayLike, events: npt.ArrayLike) -> pd.DataFrame:
    """Return the share of runs that had not generalised by each step: step, survival, low, high (95 %), at_risk.

    The curve starts at (0, 1); intervals are on the log-log scale, which keeps them within [0, 1].
    """
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


def log_rank(
    first_steps: npt.ArrayLike, first_events: npt.ArrayLike, second_steps: npt.ArrayLike, second_events: npt.ArrayLike
) -> LogRank:
    """Test whether two groups of runs generalise at the same rate; p is 1 when neither ever does."""
    if not (np.any(first_events) or np.any(second_events)):
        return LogRank(0.0, 1.0)
    found = stats.logrank(_censored(first_steps, first_events), _censored(second_steps, second_events))
    return LogRank(float(found.statistic), float(found.pvalue))


def restricted_mean(steps: npt.ArrayLike, events: npt.ArrayLike, horizon: float) -> Mean:
    """Return the mean of min(time to generalise, horizon): the area under the survival curve, with a 95 % interval.

    Raises `DataError` when no run was followed to the horizon and some did not generalise: the curve ends before it.
    """
    curve = kaplan_meier(steps, events)
    last = float(np.max(np.asarray(steps, dtype=float)))
    if curve["survival"].iloc[-1] > 0 and last < horizon:
        raise DataError(f"horizon {horizon:g} is beyond the last step any run was followed to, {last:g}; ask for less.")
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

    `p_value` is the log-rank test of the cell against all other runs. `runs` has t_gen and t_gen_event.
    """
    columns = [known_column(runs, name) for name in by]
    rows = []
    for key, cell in runs.groupby(columns, sort=True):
        rest = runs.drop(cell.index)
        mean = restricted_mean(cell["t_gen"], cell["t_gen_event"], min(horizon, cell["t_gen"].max()))
        test = log_rank(cell["t_gen"], cell["t_gen_event"], rest["t_gen"], rest["t_gen_event"]) if len(rest) else None
        rows.append(
            dict(zip(columns, key if isinstance(key, tuple) else (key,), strict=True))
            | {"runs": len(cell), "generalised": int(cell["t_gen_event"].sum())}
            | {"horizon": min(horizon, float(cell["t_gen"].max())), **mean._asdict()}
            | {"p_value": test.p_value if test else float("nan")}
        )
    return pd.DataFrame(rows)
