"""Width and layout: how many runs train best together, and how their examples lie; timed, and remembered."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from grokcore.data.layouts import LAYOUTS
from grokcore.engine.cohort import Cohort
from grokcore.engine.devices.base import Device
from grokcore.engine.devices.named import device_named
from grokcore.engine.grouping import problem_key
from grokcore.engine.memory import fitting
from grokcore.lazy_torch import torch
from grokcore.run_config import RunConfig

SECONDS = 0.1
"""Time given to each width tried."""

RISING = 1.2
"""Gain from one width tried to the next from which on a cohort between the largest and the one after it is as good."""


@dataclass(frozen=True)
class Tuning:
    """How runs of a shape train best on a device."""

    layout: str
    """How their examples lie (grokcore/data/layouts.py)."""
    width: int
    """Runs per cohort."""


_known: dict[tuple[str, str], dict[str, dict[int, float]]] = {}
"""Run-steps per second by layout and width, for each problem and device."""


def tuned(
    config: RunConfig,
    device: str | Device = "cpu",
    wanted: int | None = None,
    *,
    layout: str | None = None,
    sharing: int = 1,
) -> Tuning:
    """Return the layout and the number of runs per cohort that make most run-steps per second for runs like `config`.

    Never more than `wanted` runs, if given, nor more than fit into memory that `sharing` cohorts share; of `layout`
    alone, if given. Times a few steps of each, once per problem, device and process.
    """
    device = device if isinstance(device, Device) else device_named(device)
    place = (problem_key(config), device.name)
    rates = _known.setdefault(place, {})
    found: dict[tuple[float, str, int], Tuning] = {}
    layouts = [name for name in device.layouts if LAYOUTS[name].serves(config)] if layout is None else [layout]
    for name in layouts:
        limit = max(device.widths) if wanted is None else min(wanted, max(device.widths))
        fit = fitting(config, limit, device, layout=name, sharing=sharing)
        if fit == 1 and len(layouts) == 1:
            return Tuning(name, 1)
        speeds = rates.setdefault(name, {})
        _time(config, device, name, fit, speeds)
        width = _best({w: speed for w, speed in speeds.items() if w <= fit}, fit)
        found[max((speed for w, speed in speeds.items() if w <= fit), default=0.0), name, width] = Tuning(name, width)
    return found[max(found)]


def _best(speeds: Mapping[int, float], fit: int) -> int:
    """Return the width to take, `fit` at most: that of the highest speed, or all of them while speed still rises."""
    best = max(speeds, key=lambda w: (speeds[w], -w), default=1)
    before = max((w for w in speeds if w < best), default=None)
    if best == max(speeds, default=1) and before is not None and speeds[best] > RISING * speeds[before]:
        return fit
    return min(best, fit)


def measured_width(config: RunConfig, device: str | Device = "cpu", wanted: int | None = None, sharing: int = 1) -> int:
    """Return the number of runs per cohort alone; see `tuned`."""
    return tuned(config, device, wanted, sharing=sharing).width


def _time(config: RunConfig, device: Device, layout: str, fit: int, speeds: dict[int, float]) -> None:
    """Time the widths that fit and were not timed before."""
    for width in device.widths:
        if width > fit:
            break
        if width not in speeds:
            speeds[width] = run_steps_per_second(config, width, device, layout=layout)
        if width == 1 and 1 / speeds[1] > device.slow_step:
            break


def run_steps_per_second(
    config: RunConfig, width: int, device: str | Device = "cpu", seconds: float = SECONDS, layout: str | None = None
) -> float:
    """Return the training speed of a cohort of `width` copies of a run, evaluations apart: the best of a few trials."""
    cohort = Cohort([replace(config, steps=10**6)] * width, device, measures="none", layout=layout)
    clock = cohort.device.seconds
    best, steps, begun = math.inf, 1, time.perf_counter()
    with cohort.computing(), torch.no_grad():
        cohort.train_to(1)
        while best == math.inf or time.perf_counter() - begun < seconds:
            start = clock()
            cohort.train_to(cohort.step + steps)
            best = min(best, (clock() - start) / steps)
            steps = max(1, min(50, int(0.02 / best)))
    return width / best
