"""Regime diagrams drawn at random: a family written down before any map was scored on it, so that none is tuned to it.

A seed draws smooth fields with a trend and waves for log10 t_mem and log10 delay, some bent into plateaus; then, each
by its own coin, a jump of either time beyond a curved line, a critical fraction, and an axis that does nothing; then
the rule and the seed noise. A drawing is kept once three regimes hold a twentieth of the box each.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from benchmarks.diagrams import Array, Diagram, sobol
from grokcore.records.regimes import RegimeRule

Field = Callable[[Array], Array]
WAVES = 8
SMALLEST = 0.05
"""Share of the box that each of three regimes must hold."""


def drawn(seed: int, dimensions: int) -> Diagram:
    """Return the diagram of a seed."""
    box = sobol(1024, dimensions, 1234)
    for attempt in itertools.count():
        diagram = _attempt(np.random.default_rng([seed, dimensions, attempt]), f"drawn {seed}", dimensions)
        shares = np.bincount(diagram.truth(box), minlength=4) / len(box)
        if (shares >= SMALLEST).sum() >= 3:
            return diagram
    raise AssertionError("unreachable")


def has_cliff(diagram: Diagram) -> bool:
    """Return whether one of a drawn diagram's times jumps."""
    return diagram.name.endswith("cliff")


def _attempt(rng: np.random.Generator, name: str, dimensions: int) -> Diagram:
    live = np.where(np.arange(3) < dimensions, 1.0, 0.0)
    if rng.random() < 0.25:
        live[rng.integers(dimensions)] = 0.0
    mem, delay = _field(rng, live), _field(rng, live)
    mem_jump, delay_jump = _jump(rng, live), _jump(rng, live)
    critical = rng.random() < 1 / 3 and bool(live[0])
    lowest, gamma, tilt = rng.uniform(0.0, 0.35), rng.uniform(0.5, 2.0), rng.uniform(-0.2, 0.2)
    mem_spread, delay_spread = rng.uniform(0.2, 0.6), rng.uniform(0.5, 1.2)
    mem_level, delay_level = rng.uniform(1.8, 3.2), rng.uniform(2.5, 3.9)

    def log_times(u: Array) -> tuple[Array, Array]:
        late = np.zeros(len(u))
        if critical:
            late = -gamma * np.log10(np.maximum(u[:, 0] - lowest - tilt * u[:, 1], 0.0) / 0.4)
        log_mem = mem_level + mem_spread * mem(u) + mem_jump(u)
        return log_mem, delay_level + delay_spread * delay(u) + delay_jump(u) + late

    budget = int(rng.choice([3_000, 5_000, 10_000, 20_000]))
    form = {"ratio": float(rng.choice([3.0, 5.0, 10.0]))} if rng.random() < 0.5 else {"gap": budget // 10}
    jumps = mem_jump is not _still or delay_jump is not _still
    return Diagram(
        name=f"{name}, a cliff" if jumps else name,
        dimensions=dimensions,
        rule=RegimeRule(budget=budget, **form),
        noise=float(rng.uniform(0.08, 0.2)),
        log_times=log_times,
    )


def _field(rng: np.random.Generator, live: Array) -> Field:
    """Return a smooth field of about unit spread: a trend, waves of random length, and for some of them a plateau."""
    trend = rng.standard_normal(3) * live * 1.5
    lengths = rng.uniform(0.3, 1.2, 3)
    frequencies = rng.standard_normal((WAVES, 3)) / lengths * live
    phases = rng.uniform(0, 2 * np.pi, WAVES)
    steep = rng.uniform(1.0, 4.0) if rng.random() < 0.5 else 0.0

    def field(u: Array) -> Array:
        value = (u - 0.5) @ trend + np.sqrt(1.0 / WAVES) * np.cos(u @ frequencies.T + phases).sum(axis=1)
        return np.asarray(np.tanh(steep * value) if steep else value)

    return field


def _still(u: Array) -> Array:
    return np.zeros(len(u))


def _jump(rng: np.random.Generator, live: Array) -> Field:
    """Return, three times in ten, a jump of a log10 time beyond a curved line; else nothing."""
    line, level = _field(rng, live), rng.uniform(-0.4, 0.4)
    height = rng.uniform(0.8, 3.0) * (1 if rng.random() < 0.7 else -1)
    if rng.random() > 0.3:
        return _still
    return lambda u: np.asarray(height * (line(u) > level))
