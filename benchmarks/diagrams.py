"""Regime diagrams whose times are known exactly: the ground truth that maps are scored against.

Every diagram gives t_mem and t_gen of the median run at coordinates of a unit box; runs are drawn from it with seed
noise in log10 of t_mem and of the delay, rounded up to the engine's evaluation grid, and censored at the budget.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import qmc

from grokcore.records.regimes import RegimeRule

Array = npt.NDArray[np.float64]
BOX = {"fraction": (0.1, 0.9, "linear"), "optimizer.decay": (1e-2, 1e0, "log"), "optimizer.rate": (1e-4, 1e-2, "log")}
"""The axes of the diagrams, in order: low, high, scale."""


@dataclass(frozen=True, kw_only=True)
class Diagram:
    """A known truth over two axes (fraction, decay) or three (and rate)."""

    name: str
    dimensions: int
    rule: RegimeRule
    noise: float
    """Standard deviation of log10 t_mem and of log10 delay over seeds."""
    log_times: Callable[[Array], tuple[Array, Array]]
    """From (n, 3) unit coordinates (the third is .5 in two dimensions) to log10 t_mem and log10 delay."""

    @property
    def axes(self) -> dict[str, str]:
        """Return the axes and scales to fit with."""
        return {name: scale for name, (_, _, scale) in list(BOX.items())[: self.dimensions]}

    def times(self, units: Array) -> tuple[Array, Array]:
        """Return log10 t_mem and log10 delay of the median run at (n, d) unit coordinates."""
        whole = np.full((len(units), 3), 0.5)
        whole[:, : units.shape[1]] = units
        with np.errstate(divide="ignore", invalid="ignore"):
            mem, delay = self.log_times(whole)
        return np.nan_to_num(mem, nan=9.0, posinf=9.0), np.nan_to_num(delay, nan=9.0, posinf=9.0)

    def truth(self, units: Array) -> npt.NDArray[np.int64]:
        """Return the median run's regime at unit coordinates, as indices into `REGIMES`."""
        mem, delay = self.times(units)
        t_mem, t_gen = 10.0**mem, 10.0**mem + 10.0**delay
        return self.rule.labels(t_mem, t_mem <= self.rule.budget, t_gen, t_gen <= self.rule.budget)

    def chances(self, units: Array, draws: int = 400, seed: int = 0) -> Array:
        """Return (n, 4): how often each regime comes out over seeds, by simulation."""
        rng = np.random.default_rng(seed)
        counts = np.zeros((len(units), 4))
        mem, delay = self.times(units)
        for _ in range(draws):
            t_mem = 10.0 ** (mem + self.noise * rng.standard_normal(len(mem)))
            t_gen = t_mem + 10.0 ** (delay + self.noise * rng.standard_normal(len(mem)))
            labels = self.rule.labels(t_mem, t_mem <= self.rule.budget, t_gen, t_gen <= self.rule.budget)
            counts[np.arange(len(units)), labels] += 1
        return counts / draws

    def table(self, units: Array) -> pd.DataFrame:
        """Return the axes' columns at unit coordinates."""
        columns = {}
        for (name, (low, high, scale)), u in zip(BOX.items(), units.T, strict=False):
            columns[name] = low + u * (high - low) if scale == "linear" else low * (high / low) ** u
        return pd.DataFrame(columns)

    def runs(self, units: Array, seed: int) -> pd.DataFrame:
        """Return the table of runs at unit coordinates, with seed noise, evaluation grid and censoring."""
        rng = np.random.default_rng([seed, 7])
        mem, delay = self.times(units)
        t_mem = 10.0 ** (mem + self.noise * rng.standard_normal(len(mem)))
        t_gen = t_mem + 10.0 ** (delay + self.noise * rng.standard_normal(len(mem)))
        budget = self.rule.budget
        seen = {}
        for name, time in (("t_mem", t_mem), ("t_gen", t_gen)):
            step = np.minimum(on_grid(time), 1e9)
            seen[name] = np.where(step <= budget, step, budget).astype(int)
            seen[f"{name}_event"] = step <= budget
        return self.table(units).assign(**seen)


def on_grid(steps: Array) -> Array:
    """Round steps up to an evaluation grid of 90 steps a decade."""
    return np.asarray(np.ceil(10.0 ** (np.ceil(np.log10(np.maximum(steps, 1.0)) * 90.0) / 90.0)))


def sobol(n: int, dimensions: int, seed: int) -> Array:
    """Return n points of a scrambled Sobol sequence."""
    sampler = qmc.Sobol(dimensions, rng=np.random.default_rng([seed, 3]))
    return np.asarray(sampler.random_base2(int(np.ceil(np.log2(n))))[:n])


def _curved(u: Array) -> tuple[Array, Array]:
    f, w, r = u.T
    critical = 0.3 + 0.35 * (w - 0.6) ** 2
    mem = 2.3 - 0.6 * (r - 0.5) + 0.3 * f
    return mem, 3.0 - 1.2 * w - 0.7 * (r - 0.5) - 1.2 * np.log10(np.maximum(f - critical, 0.0)) - 0.6


def _confusion_zone(u: Array) -> tuple[Array, Array]:
    f, w, r = u.T
    mem = 2.1 + 0.2 * f + 1.3 / (1.0 + np.exp(-14 * (0.55 * w + 0.55 * r - 0.62))) + 2.0 * np.maximum(w + r - 1.2, 0.0)
    return mem, 3.9 - 2.4 * f - 0.9 * w + 0.3 * np.cos(4 * r)


def _strip(u: Array) -> tuple[Array, Array]:
    f, w, r = u.T
    edge = 0.45 + 0.15 * np.sin(3.2 * w) + 0.2 * (r - 0.5)
    return 2.2 - 0.3 * r + 0.1 * w, 3.45 + 1.6 * np.tanh(-7 * (f - edge))


def _island(u: Array) -> tuple[Array, Array]:
    f, w, r = u.T
    island = np.exp(-(((f - 0.3) / 0.16) ** 2) - ((w - 0.28) / 0.18) ** 2 - ((r - 0.5) / 0.35) ** 2)
    mainland = 1.0 / (1.0 + np.exp(-16 * (0.6 * f + 0.5 * w - 0.72)))
    return 2.0 + 0.3 * (1 - w), 4.5 - 1.9 * island - 2.0 * mainland - 0.2 * r


def _idle(u: Array) -> tuple[Array, Array]:
    f, w, _ = u.T
    if np.ptp(u[:, 2]) == 0:
        w = np.full_like(w, 0.5)
    return 2.2 + 0.4 * w, 4.6 - 2.6 * f - 0.8 * w - 0.5 * np.sin(5 * f)


def _law(u: Array) -> tuple[Array, Array]:
    f, w, r = u.T
    fraction, decay = 0.1 + 0.8 * f, -2 + 2 * w
    mem = 1.8 - 0.7 * (r - 0.5) + 0.2 * f
    return mem, 2.0 - 0.8 * decay - 1.0 * (r - 0.5) - 1.5 * np.log10(np.maximum(fraction - 0.24, 0.0)) - 0.6


def _gen_cliff(u: Array) -> tuple[Array, Array]:
    f, w, r = u.T
    beyond = f > 0.35 + 0.25 * np.cos(3 * w) * 0.6 + 0.2 * (r - 0.5)
    return 2.2 + 0.2 * w, np.where(beyond, 2.3 + 0.9 * (1 - w), 5.5)


def _mem_cliff(u: Array) -> tuple[Array, Array]:
    f, w, r = u.T
    lost = w + 0.9 * r > 1.25 + 0.1 * np.sin(6 * f)
    return np.where(lost, 6.0, 2.0 + 0.4 * f), 4.1 - 2.2 * f - 0.7 * w


def _stairs(u: Array) -> tuple[Array, Array]:
    f, w, r = u.T
    level = np.floor(3.0 * np.clip(0.75 * f + 0.25 * w + 0.1 * (r - 0.5), 0.0, 0.999))
    return 2.0 + 0.5 * (r - 0.5), np.array([5.0, 3.2, 1.6])[level.astype(int)] + 0.1 * w


_SHAPES: list[tuple[str, Callable[[Array], tuple[Array, Array]], float, RegimeRule]] = [
    ("curved", _curved, 0.15, RegimeRule(budget=10_000, ratio=5.0)),
    ("confusion zone", _confusion_zone, 0.12, RegimeRule(budget=5_000, ratio=5.0)),
    ("strip", _strip, 0.08, RegimeRule(budget=5_000, gap=400)),
    ("island", _island, 0.1, RegimeRule(budget=10_000, ratio=8.0)),
    ("idle axis", _idle, 0.2, RegimeRule(budget=8_000, gap=1_000)),
    ("power law", _law, 0.15, RegimeRule(budget=20_000, ratio=10.0)),
]
_CLIFFS: list[tuple[str, Callable[[Array], tuple[Array, Array]], float, RegimeRule]] = [
    ("cliff in t_gen", _gen_cliff, 0.12, RegimeRule(budget=5_000, ratio=4.0)),
    ("cliff in t_mem", _mem_cliff, 0.12, RegimeRule(budget=5_000, ratio=5.0)),
    ("stairs", _stairs, 0.1, RegimeRule(budget=10_000, ratio=5.0)),
]


def _diagrams(shapes: list[tuple[str, Callable[[Array], tuple[Array, Array]], float, RegimeRule]]) -> list[Diagram]:
    return [
        Diagram(name=name, dimensions=d, rule=rule, noise=noise, log_times=times)
        for d in (2, 3)
        for name, times, noise, rule in shapes
    ]


SMOOTH = _diagrams(_SHAPES)
CLIFFS = _diagrams(_CLIFFS)
