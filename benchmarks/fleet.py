"""Fleet: how busy many GPUs are that one driver feeds, simulated from what a run costs the driver.

Every GPU trains a cohort at a time, and when it is over waits until the driver has taken its runs and handed out the
next. How fast GPUs train is supposed, not measured; how long the driver takes is what `benchmarks.load` measured.
"""

from __future__ import annotations

import heapq

import numpy as np

SUPPOSED = {
    "p 31 MLP, 1,000,000 run-steps/s, runs of 5,000 steps": 200.0,
    "Nanda transformer, 10,000 run-steps/s, runs of 10,000 steps": 1.0,
    "p 31 MLP on a core, 3,000 run-steps/s, runs of 5,000 steps": 0.6,
}
"""Runs a second of one GPU or core by what it trains: what the engine aims at on an H100, and a core of a CPU."""
FLEETS = (1, 10, 100, 1000)
"""How many devices there are."""
WIDTH, COHORTS = 64, 20
"""Runs of a cohort, and cohorts that each device trains."""
SEED = 0


def busy_share(gpus: int, rate: float, driver_seconds: float) -> float:
    """Return the share of their time that GPUs spend training.

    Each trains `rate` runs a second, `WIDTH` at a time; the driver takes `driver_seconds` a run, one cohort after
    another in the order in which they end. Cohorts' lengths spread by half of their mean.
    """
    rng = np.random.default_rng(SEED)
    lengths = rng.gamma(4.0, WIDTH / rate / 4, (COHORTS + 1, gpus))
    ends = [(end, gpu) for gpu, end in enumerate(lengths[0] * rng.random(gpus))]
    heapq.heapify(ends)
    trained = waited = free = 0.0
    done = [0] * gpus
    for _ in range(gpus * COHORTS):
        over, gpu = heapq.heappop(ends)
        free = max(over, free) + WIDTH * driver_seconds
        done[gpu] = min(done[gpu] + 1, COHORTS)
        length = lengths[done[gpu], gpu]
        waited += free - over
        trained += length
        heapq.heappush(ends, (free + length, gpu))
    return float(trained / (trained + waited))


def report(driver_seconds: float) -> str:
    """Return a line for each kind of device: how busy so many are."""
    lines = [f"simulated: devices fed by one driver that takes {1000 * driver_seconds:.2f} ms a run"]
    for name, rate in SUPPOSED.items():
        shares = (f"{count:,} busy {busy_share(count, rate, driver_seconds):.0%}" for count in FLEETS)
        lines.append(f"  {name}: {', '.join(shares)}")
    return "\n".join(lines)
