"""How full a device stays while runs end at different steps: cohorts as they are, made smaller, or refilled.

``python -m benchmarks.occupancy [results/default/runs.parquet]`` takes the lengths of a sweep's runs and simulates one
device that works through many such runs, in the order of a queue. Four ways are compared:

- kept: a cohort trains on until its last run is over;
- halved: it goes on with the runs that are left once half have ended, and is recorded anew;
- tight: it does so whenever a run ends;
- paying: it does so when that saves more than it costs if the rest take the whole budget, as the CUDA device does;
- admission: a free place is taken by the next run at once, each place with a step counter of its own.

A step of w runs costs `floor + w × share`, an evaluation a third of that for the runs that are looked at, and so much
host time besides; a smaller cohort costs some steps to record. Costs are in units of a full cohort's step. Printed is
the share of the time that a device that was always full, and never looked, would have needed.
"""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from grokcore.engine.devices.cuda import RECORDING, Cuda
from grokcore.engine.evaluation_schedule import evaluation_steps

WIDTH, RUNS = 256, 8192
"""Places of the device, and runs in the queue."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What things cost, in units of a step of a full cohort."""

    floor: float
    """Share of a full cohort's step that one run alone would take too: launches, and kernels too small for the card."""
    host: float
    """An evaluation's work on the host: reading back, milestones, rows."""
    record: float = RECORDING
    """Making a cohort smaller and recording its step anew."""

    def step(self, runs: int) -> float:
        """Return the cost of a step of so many runs."""
        return self.floor + (1 - self.floor) * runs / WIDTH

    def look(self, runs: int) -> float:
        """Return the cost of an evaluation of so many runs."""
        return self.step(runs) / 3 + self.host


def lockstep(lengths: Sequence[int], costs: Costs, smaller: Callable[[int, int, int], bool]) -> float:
    """Return the cost of cohorts, one after the other; `smaller`: whether to go on with so many of so many, so long."""
    total, budget = 0.0, max(lengths)
    grid = np.array(evaluation_steps(budget))
    for start in range(0, len(lengths), WIDTH):
        ends, counts = np.unique(lengths[start : start + WIDTH], return_counts=True)
        going = stacked = int(counts.sum())
        at = 0
        for end, count in zip(ends, counts, strict=True):
            looks = np.count_nonzero((grid > at) & (grid <= end))
            total += (end - at) * costs.step(stacked) + looks * costs.look(stacked)
            at, going = int(end), going - int(count)
            if 0 < going < stacked and smaller(going, stacked, budget - at):
                stacked, total = going, total + costs.record
    return total


def admission(lengths: Sequence[int], costs: Costs) -> float:
    """Return the cost of one cohort whose places are refilled, each with its own step counter and its own looks."""
    grid = np.array(evaluation_steps(max(lengths)))
    queue = iter(lengths)
    ends: list[int] = []
    looks: dict[int, int] = {}

    def admit(at: int) -> None:
        if (length := next(queue, None)) is not None:
            heapq.heappush(ends, at + length)
            for step in at + grid[grid <= length]:
                looks[int(step)] = looks.get(int(step), 0) + 1

    for _ in range(min(WIDTH, len(lengths))):
        admit(0)
    total, at = 0.0, 0
    while ends:
        going, end = len(ends), heapq.heappop(ends)
        total += (end - at) * costs.step(going)
        at = end
        admit(at)
    return total + sum(costs.look(due) for due in looks.values())


def ways(lengths: Sequence[int], costs: Costs) -> dict[str, float]:
    """Return each way's share of the time of a device that is always full and never looks."""
    least = sum(lengths) / WIDTH
    found = {
        "kept": lockstep(lengths, costs, lambda *_: False),
        "halved": lockstep(lengths, costs, lambda going, stacked, _left: 2 * going <= stacked),
        "tight": lockstep(lengths, costs, lambda *_: True),
        "paying": lockstep(lengths, costs, Cuda("cuda").worth_compacting),
        "admission": admission(lengths, costs),
    }
    return {name: least / cost for name, cost in found.items()}


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="?", type=Path, default=Path("results/default/runs.parquet"))
    given = parser.parse_args()
    if not given.runs.exists():
        parser.error(f"{given.runs}: no table of runs there; 'make sweep' makes one, or name a sweep's runs.parquet")
    real = pd.read_parquet(given.runs, columns=["last_step"])["last_step"].to_numpy()
    lengths = [int(step) for step in np.random.default_rng(0).choice(real[real > 0], RUNS)]
    whole = np.mean(np.array(lengths) == max(lengths))
    print(f"{len(real)} real runs, {np.mean(lengths):,.0f} steps on average; {whole:.0%} take all {max(lengths):,}.")
    print(f"{RUNS:,} runs drawn from them, {WIDTH} places.\n")
    names = ("kept", "halved", "tight", "paying", "admission")
    print(f"{'floor':>6}{'host':>6}" + "".join(f"{name:>11}" for name in names))
    for floor in (0.0, 0.3, 0.9):
        for host in (0.0, 1.0, 5.0):
            shares = ways(lengths, Costs(floor=floor, host=host))
            print(f"{floor:>6.1f}{host:>6.1f}" + "".join(f"{shares[name]:>11.2f}" for name in names))


if __name__ == "__main__":
    main()
