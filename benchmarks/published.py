"""A whole published kind of map, 60 runs, against the plain loop: core-seconds on two cores.

``python -m benchmarks.published [--steps N]``: an MLP on concatenated 16-dimensional embeddings learns addition mod 97,
at width 16, 32, 64 × decay 0, 1e-3, 1e-2, .1, 1 × fraction .3, .5, .7, .9, full batch. The engine trains all 60 runs in
two processes of one thread, cohort by cohort, longest first, and lets runs retire that have generalised for good. The
plain loop (benchmarks/plain.py) evaluates on the same clock and trains every run to the end; what its 60 runs cost is
the steps they take times the seconds of a step, measured for each of the 12 shapes in two processes at once. It is
given twice: for full budgets, and as if it could retire its runs at the same steps, for nothing.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch

from benchmarks.plain import build
from grokcore import train
from grokcore.engine.early_stopping import EarlyStopping
from grokcore.engine.evaluation_schedule import evaluation_steps
from grokcore.engine.grouping import cohort_key
from grokcore.numerics.processor import pin_threads
from grokcore.records.regimes import REGIMES
from grokcore.records.run_record import RunRecord
from grokcore.run_config import RunConfig

WIDTHS, DECAYS, FRACTIONS = (16, 32, 64), (0.0, 1e-3, 1e-2, 0.1, 1.0), (0.3, 0.5, 0.7, 0.9)
SLOTS = 2


def configs(steps: int) -> list[RunConfig]:
    """Return the 60 runs."""
    return [
        RunConfig.from_dict(
            {
                "task": {"name": "modular_addition", "modulus": 97},
                "model": {"name": "mlp", "width": width, "embedding_width": 16, "combine": "concat"},
                "optimizer": {"name": "adamw", "rate": 1e-2, "decay": decay, "betas": [0.9, 0.98]},
                "fraction": fraction,
                "steps": steps,
            }
        )
        for width, decay, fraction in itertools.product(WIDTHS, DECAYS, FRACTIONS)
    ]


def engine(given: Sequence[dict[str, Any]]) -> tuple[float, list[RunRecord]]:
    """Train runs of one shape; return the processor's seconds it took, preparations included, and the records."""
    pin_threads(1)
    begun = time.process_time()
    records = train([RunConfig.from_dict(one) for one in given], retire=EarlyStopping())
    return time.process_time() - begun, records


def plain_shape(given: dict[str, Any], seconds: float) -> tuple[float, float]:
    """Return the processor's seconds of a plain optimizer step, and of a look at both splits (medians)."""
    pin_threads(1)
    torch.set_flush_denormal(False)
    plain = build(RunConfig.from_dict(given))
    for _ in range(20):
        plain.step()
    steps: list[float] = []
    looks: list[float] = []
    while sum(steps) < seconds or len(steps) < 5:
        begun = time.process_time()
        for _ in range(20):
            plain.step()
        steps.append(time.process_time() - begun)
        begun = time.process_time()
        plain.look()
        looks.append(time.process_time() - begun)
    return statistics.median(steps) / 20, statistics.median(looks)


def shape(config: RunConfig) -> str:
    """Return what decides the seconds of a step."""
    return f"width {config.to_dict()['model']['width']}, fraction {config.fraction}"


def main() -> None:
    """Print the costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000, help="budget of a run in optimizer steps (default 10000)")
    parser.add_argument("--seconds", type=float, default=6.0, help="of plain steps per shape (default 6)")
    given = parser.parse_args()
    runs = configs(given.steps)
    cohorts: dict[str, list[RunConfig]] = defaultdict(list)
    for run in runs:
        cohorts[cohort_key(run)].append(run)
    longest = sorted(cohorts.values(), key=lambda group: -len(group) * group[0].fraction * shape_width(group[0]))
    plain_runs = {shape(run): run.to_dict() for run in runs}
    with ProcessPoolExecutor(SLOTS, multiprocessing.get_context("spawn")) as pool:
        # Half of the plain readings before and half after, so that a machine that slows down does so for both.
        before = pool.map(plain_shape, plain_runs.values(), itertools.repeat(given.seconds / 2))
        plain = [[reading] for reading in before]
        trained = list(pool.map(engine, [[run.to_dict() for run in group] for group in longest]))
        after = pool.map(plain_shape, plain_runs.values(), itertools.repeat(given.seconds / 2))
        for readings, reading in zip(plain, after, strict=True):
            readings.append(reading)
    seconds = {
        name: [statistics.mean(column) for column in zip(*readings, strict=True)]
        for name, readings in zip(plain_runs, plain, strict=True)
    }
    records = [record for _, group in trained for record in group]
    report(sum(taken for taken, _ in trained), records, seconds)


def shape_width(config: RunConfig) -> int:
    """Return the width of a run's hidden layer."""
    return int(config.to_dict()["model"]["width"])


def report(ours: float, records: list[RunRecord], seconds: dict[str, list[float]]) -> None:
    """Print what 60 runs cost either way."""
    counts = Counter(record.regime for record in records)
    print(f"{len(records)} runs: " + ", ".join(f"{regime} {counts[regime]}" for regime in REGIMES))
    full = stopped = 0.0
    for record in records:
        step, look = seconds[shape(record.config)]
        marks = evaluation_steps(record.config.steps)
        full += record.config.steps * step + len(marks) * look
        stopped += record.steps * step + sum(mark <= record.steps for mark in marks) * look
    print(f"engine:                    {ours:8.1f} core-seconds")
    print(f"plain, to the end:         {full:8.1f} core-seconds, {full / ours:.1f} times as many")
    print(f"plain, retired as ours:    {stopped:8.1f} core-seconds, {stopped / ours:.1f} times as many")


if __name__ == "__main__":
    main()
