"""Width: how many runs of a shape train best together, found by timing a few widths, and remembered."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import torch

from grokcore.engine.cohort import Cohort, one_thread
from grokcore.engine.grouping import cohort_key
from grokcore.engine.memory import fitting
from grokcore.run_config import RunConfig

WIDTHS = {"cpu": (1, 2, 4, 8, 16), "cuda": (1, 4, 16, 64, 256)}
"""Widths tried, by kind of device. On a CPU stacking saves small operations' overhead until the cache is full."""

SECONDS = 0.15
"""Time given to each width tried."""

SLOW_STEP = 0.01
"""Seconds per step of a lone run from which on a CPU has nothing to gain from stacking."""

_known: dict[tuple[str, str], int] = {}


def measured_width(config: RunConfig, device: str = "cpu", wanted: int | None = None) -> int:
    """Return the number of runs per cohort that makes most run-steps per second for runs shaped like `config`.

    Never more than `wanted` runs, if given, nor more than fit into memory. Times a few steps of each width, once per
    shape, device and process.
    """
    widest = max(WIDTHS[device.partition(":")[0]])
    fit = fitting(config, widest if wanted is None else min(wanted, widest), device)
    if fit == 1:
        return 1
    place = (cohort_key(config), device)
    if place not in _known:
        _known[place] = _best(config, device, fit)
    return min(_known[place], fit)


def _best(config: RunConfig, device: str, fit: int) -> int:
    kind = device.partition(":")[0]
    rates: dict[int, float] = {}
    for width in WIDTHS[kind]:
        if width > fit:
            break
        rates[width] = run_steps_per_second(config, width, device)
        if kind == "cpu" and width == 1 and 1 / rates[1] > SLOW_STEP:
            return 1
    return max(rates, key=lambda width: (rates[width], -width))


def run_steps_per_second(config: RunConfig, width: int, device: str = "cpu", seconds: float = SECONDS) -> float:
    """Return the training speed of a cohort of `width` copies of a run, evaluations apart: the best of a few trials."""
    cohort = Cohort([replace(config, steps=10**6)] * width, device)
    # On a CPU one thread computes: its own time does not count what other processes had of the core.
    clock = time.perf_counter if device.startswith("cuda") else time.thread_time
    best, steps, begun = math.inf, 1, time.perf_counter()
    with one_thread(device), torch.no_grad():
        cohort.train_to(1)
        while best == math.inf or time.perf_counter() - begun < seconds:
            start = clock()
            cohort.train_to(cohort.step + steps)
            if device.startswith("cuda"):
                torch.cuda.synchronize(device)
            best = min(best, (clock() - start) / steps)
            steps = max(1, min(50, int(0.02 / best)))
    return width / best
