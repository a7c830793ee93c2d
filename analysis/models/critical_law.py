"""Laws of the delay: the censored critical law with intervals, and what survival analysis says of a cell of runs.

The law is t_gen − t_mem = C · decay^-a · rate^-b · (f − f_c)^-γ with f_c = f_0 + f_1 · log10 decay, seed noise that is
normal in log10, runs that did not generalise counted as "longer than seen", and those whose time is known only between
two evaluations as "between". Dropping them, as least squares on the
generalised runs does, biases the exponents at any number of runs: the slow half of every edge is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

import numpy as np
import pandas as pd

from analysis.models.critical_law_likelihood import (
    DISTANCE,
    FOREVER,
    Problem,
    median_delay,
    posterior_draws,
    profile,
)
from analysis.runs.axes import Array, Axis
from analysis.runs.intervals import delay_ends
from analysis.runs.run_table import Runs
from grokcore.errors import DataError

FEWEST_EVENTS = 12
"""Delays that must have been seen before a law of five or six numbers is fitted to them."""
SLOPE_GAIN = 3.0
"""Log likelihood that a moving critical fraction must gain over a fixed one (a likelihood ratio test at .014)."""


@dataclass(frozen=True, kw_only=True)
class CriticalLaw:
    """A fitted critical law; `predict` gives the log10 delay of the median run."""

    fraction: str
    """Column of the training fraction."""
    powers: tuple[str, ...]
    """Columns that enter as powers, with the logarithm's origin at their geometric middle."""
    origins: tuple[float, ...]
    """log10 of those columns' middle: `log10_scale` is the delay there, at `DISTANCE` from the critical fraction."""
    estimates: pd.DataFrame
    """Rows log10_scale, a_<column>, gamma, critical_fraction, critical_slope (if any), noise; estimate, low, high."""
    runs: int
    """Runs the law was fitted to."""
    events: int
    """Of them, those that generalised."""
    draws: Array
    """(S, rows) draws of the estimates from their posterior; none unless asked for."""

    def __repr__(self) -> str:
        return f"<CriticalLaw of {self.events} delays in {self.runs} runs: {self.formula()}>"

    def _repr_html_(self) -> str:
        return f"<b>{escape(self.formula())}</b>{self.estimates.to_html(float_format='{:.3g}'.format, border=0)}"

    @property
    def values(self) -> Array:
        """Return the estimates in the order of the rows."""
        return np.asarray(self.estimates["estimate"].to_numpy(dtype=float))

    @property
    def noise(self) -> float:
        """Return the standard deviation of log10 delay over seeds."""
        return float(self.estimates["estimate"].to_numpy(dtype=float)[-1])

    def predict(self, points: pd.DataFrame) -> Array:
        """Return (n,) log10 delays of the median run; infinite at and below the critical fraction."""
        return median_delay(self.values, *self._columns(points), sloped=self.sloped)

    def sample(self, points: pd.DataFrame) -> Array:
        """Return (S, n): the same for each of `draws`, or for the estimates alone where there are none."""
        columns = self._columns(points)
        several = self.draws if len(self.draws) else self.values[None]
        return np.stack([median_delay(values, *columns, sloped=self.sloped) for values in several])

    @property
    def sloped(self) -> bool:
        """Return whether the critical fraction moves with the first power's logarithm."""
        return "critical_slope" in self.estimates.index

    def _columns(self, points: pd.DataFrame) -> tuple[Array, Array]:
        logs = [
            np.log10(points[name].to_numpy(dtype=float)) - o for name, o in zip(self.powers, self.origins, strict=True)
        ]
        shape = (len(points), len(self.powers))
        return points[self.fraction].to_numpy(dtype=float), np.column_stack(logs) if logs else np.zeros(shape)

    def formula(self) -> str:
        """Return the law with its numbers, in one line."""
        value = self.estimates["estimate"]
        powers = "".join(
            f" · ({name.rpartition('.')[2]}/{10**origin:.2g})^{-value[f'a_{name}']:.2f}"
            for name, origin in zip(self.powers, self.origins, strict=True)
        )
        critical = f"{value['critical_fraction']:.3f}"
        if self.sloped:
            first = self.powers[0].rpartition(".")[2]
            critical = f"({critical} {value['critical_slope']:+.3f} log10({first}/{10 ** self.origins[0]:.2g}))"
        edge = f"((f − {critical})/{DISTANCE:g})^{-value['gamma']:.2f}"
        return f"t_gen − t_mem = 10^{value['log10_scale']:.2f}{powers} · {edge}"

    def sentence(self) -> str:
        """Return the law and its 95 % intervals in words."""
        parts = [
            f"{name} {row.estimate:.3g} [{row.low:.3g}, {row.high:.3g}]" for name, row in self.estimates.iterrows()
        ]
        return f"{self.formula()}; 95 % intervals: {', '.join(parts)}; {self.events} of {self.runs} runs generalised."


def fit_critical_law(
    runs: Runs, *, intervals: bool = True, draws: int = 0, start: CriticalLaw | None = None, formed: bool = False
) -> CriticalLaw:
    """Fit the critical law to runs with an axis called fraction; 95 % intervals by profile likelihood.

    The critical fraction moves with the first power's logarithm where the log likelihood gains `SLOPE_GAIN` by it; not
    where it did not in `start` and the law is `formed`: no more than its numbers are sought then.
    Raises `DataError` where there is no fraction axis, or fewer than `FEWEST_EVENTS` delays were seen.
    """
    fraction, powers = law_axes(runs.axes)
    _, mem_event = runs.milestone("t_mem")
    _, gen_event = runs.milestone("t_gen")
    least, delay, between = delay_ends(runs)
    table = runs.table
    positive = np.all([table[axis.name].to_numpy(dtype=float) > 0 for axis in powers], axis=0) if powers else True
    rows = np.flatnonzero(mem_event & (delay >= 1.0) & positive)
    between = between[rows] & gen_event[rows]
    event = gen_event[rows] & ~between
    events = int((event | between).sum())
    if events < FEWEST_EVENTS:
        raise DataError(f"{events} delays were seen; the critical law takes at least {FEWEST_EVENTS}.")
    table = table.iloc[rows]
    origins = tuple(float(np.log10(axis.middle)) for axis in powers)
    logs = np.column_stack(
        [np.log10(table[axis.name].to_numpy(dtype=float)) - o for axis, o in zip(powers, origins, strict=True)]
        or [np.zeros((len(rows), 0))]
    )
    problem = Problem(
        fraction=table[fraction.name].to_numpy(dtype=float),
        logs=logs,
        low=np.where(between, np.log10(np.maximum(least[rows], 10.0**-FOREVER)), np.log10(delay[rows])),
        high=np.where(between, np.log10(delay[rows]), np.inf) if between.any() else None,
        event=event,
        sloped=False,
    )
    best, loss = _best_start(problem, start)
    if powers and not (formed and start is not None and not start.sloped):
        widened = replace(problem, sloped=True)
        sloped, sloped_loss = widened.solve(np.insert(best, len(best) - 1, 0.0), polish=start is None)
        if loss - sloped_loss > SLOPE_GAIN:
            problem, best, loss = widened, sloped, sloped_loss
    names = ["log10_scale", *(f"a_{axis.name}" for axis in powers), "gamma", "critical_fraction"]
    names += ["critical_slope"] * problem.sloped + ["noise"]
    ends = profile(problem, best, loss) if intervals else np.full((len(best), 2), np.nan)
    estimates = pd.DataFrame({"estimate": best, "low": ends[:, 0], "high": ends[:, 1]}, index=names)
    estimates.loc["noise"] = np.exp(estimates.loc["noise"])
    drawn = posterior_draws(problem, best, draws) if draws else np.zeros((0, len(best)))
    drawn[:, -1] = np.exp(drawn[:, -1])
    return CriticalLaw(
        fraction=fraction.name,
        powers=tuple(axis.name for axis in powers),
        origins=origins,
        estimates=estimates,
        runs=len(rows),
        events=events,
        draws=drawn,
    )


def law_axes(axes: Sequence[Axis]) -> tuple[Axis, tuple[Axis, ...]]:
    """Return the fraction's axis and the logarithmic ones, decay first; raises `DataError` without a fraction."""
    fractions = [axis for axis in axes if axis.short == "fraction"]
    if not fractions:
        raise DataError(
            "the critical law takes an axis called fraction; of a table say which is, as --column fraction=NAME."
        )
    powers = [axis for axis in axes if axis.scale == "log" and axis is not fractions[0]]
    return fractions[0], tuple(sorted(powers, key=lambda axis: axis.short != "decay"))


def _best_start(problem: Problem, start: CriticalLaw | None) -> tuple[Array, float]:
    """Return the best of several searches: the likelihood has a ridge in (γ, f_c)."""
    powers, seen = problem.logs.shape[1], problem.event | problem.between
    lowest = float(problem.fraction[seen].min())
    starts = []
    if start is not None and len(start.powers) == powers:
        whole = start.values.copy()
        whole[-1] = np.log(whole[-1])
        whole = np.delete(whole, powers + 3) if start.sloped else whole
        starts.append(whole)
    else:
        for critical in (lowest - 0.15, lowest - 0.05, lowest - 0.01):
            distance = np.log10(np.maximum(problem.fraction[seen] - critical, 1e-3) / DISTANCE)
            design = np.column_stack([np.ones(seen.sum()), -problem.logs[seen], -distance])
            slopes = np.linalg.lstsq(design, problem.middles[seen], rcond=None)[0]
            slopes[-1] = max(slopes[-1], 0.3)
            starts.append(np.concatenate([slopes, [critical, np.log(0.25)]]))
    found = [problem.solve(one, polish=False) for one in starts]
    best = min(found, key=lambda pair: pair[1])
    return best if start is not None else problem.solve(best[0])
