"""What measures cost: microseconds per run and checkpoint, batched and one at a time, and the sets' shares of a sweep.

    OMP_NUM_THREADS=1 python -m benchmarks.measures [SHAPE ...] [--set circuit]

Each measure is taken of a cohort of the width that trains best, with everything computed anew (the embedding, the
logits, the activations), so that the sum over measures is more than a set's cost, in which they share these. A share is
that of a set's measures in the time of a run's steps, evaluations and measures; measures are denser at the beginning,
so that a run which is over early has a larger one. Small shapes are also trained whole, with and without measures,
until they retire.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import replace

import torch

from benchmarks.engine import SHAPES, config
from grokcore import train
from grokcore.engine.cohort import Cohort
from grokcore.engine.devices.named import device_named
from grokcore.engine.early_stopping import EarlyStopping
from grokcore.engine.evaluation_schedule import evaluation_steps
from grokcore.engine.width_tuning import measured_width
from grokcore.measures.base import Measure, defined_measures, take
from grokcore.run_config import RunConfig
from grokcore.views.characters import characters
from grokcore.views.view import View

BUDGETS = {"small-mlp": 3000, "embedding-mlp": 3000, "deep-mlp": 3000, "transformer": 10000, "power": 10000}
"""Steps of a run of each shape, in the sweeps it is meant for."""

EARLIEST = 300
"""Step at which a run is over early."""

WHOLE = ("small-mlp", "embedding-mlp")
"""Shapes of which whole runs take seconds."""


def seconds(work: Callable[[], object], repetitions: int) -> float:
    """Return the median processor time of some repetitions, after one to warm up; other processes do not disturb it."""
    work()
    times = []
    for _ in range(repetitions):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return statistics.median(times)


def viewed(cohort: Cohort) -> View:
    """Return a fresh view with final keys, so that all measures can be taken."""
    view = cohort.view()
    keys = torch.zeros(view.runs, characters(view.task).frequencies, dtype=torch.bool)
    keys[:, :5] = True
    return replace(view, keys=keys)


def step_seconds(cohort: Cohort, repetitions: int) -> float:
    """Return the time of a training step of the whole cohort."""
    return seconds(lambda: cohort.train_to(cohort.step + 5), repetitions) / 5


def share(points: Mapping[float, Set[int]], step: float, evaluation: float, end: int) -> float:
    """Return the share of measures in a run that is over at step `end`.

    `points` has the steps at which something is measured, by the seconds it takes; the others are the seconds of a step
    and of an evaluation.
    """
    measured = sum(cost * sum(at <= end for at in steps) for cost, steps in points.items())
    others = (
        end * step
        + sum(at <= end for at in evaluation_steps(max(max(steps) for steps in points.values()))) * evaluation
    )
    return measured / (measured + others)


def whole_runs(run: RunConfig, width: int, repetitions: int) -> None:
    """Print what measures add to runs that are trained until they retire, at a fraction at which all do soon."""
    easy = replace(run, fraction=0.9, optimizer=replace(run.optimizer, rate=1e-2))
    runs = [replace(easy, seed=seed) for seed in range(width)]
    ratios: dict[str, list[float]] = {"light": [], "full": []}
    end = 0
    for _ in range(repetitions):
        times = {}
        for chosen in ("none", *ratios):
            begun = time.process_time()
            records = train(runs, measures=chosen, retire=EarlyStopping())
            times[chosen] = time.process_time() - begun
            end = statistics.median_low([record.steps for record in records])
        for chosen, found in ratios.items():
            found.append(1 - times["none"] / times[chosen])
    told = ", ".join(f"{chosen} {statistics.median(found):.1%}" for chosen, found in ratios.items())
    print(f"  of {width} whole runs that are over at step {end:,}: {told}", flush=True)


def per_measure(run: RunConfig, found: Mapping[str, Measure], width: int, repetitions: int) -> None:
    """Print what each measure costs per run, batched and one at a time."""
    many = Cohort([run] * width, measures="none")
    one = Cohort([run], measures="none")
    for cohort in (many, one):
        cohort.train_to(20)
    print(f"  {'measure':<28}{'set':>9}{'batched µs':>12}{'alone µs':>10}{'ratio':>7}")
    for name, measure in found.items():
        only = {name: measure}
        batched = seconds(lambda only=only: take(only, viewed(many)), repetitions) / width  # type: ignore[misc]
        alone = seconds(lambda only=only: take(only, viewed(one)), repetitions)  # type: ignore[misc]
        print(
            f"  {name:<28}{measure.cost:>9}{1e6 * batched:>12,.0f}{1e6 * alone:>10,.0f}{alone / batched:>7.2f}",
            flush=True,
        )


def shares(run: RunConfig, width: int, repetitions: int) -> None:
    """Print the share of a sweep's time that `light` and `full` take; training and measuring alternate."""
    cohort = Cohort([run] * width, measures="none")
    cohort.train_to(20)
    state = cohort.runs[0]
    early = min(at for at in state.measurements if at >= EARLIEST)
    sets = {name: defined_measures(run.task, run.model, name) for name in ("light", "full")}
    seen: list[dict[str, float]] = []
    for _ in range(repetitions):
        step = step_seconds(cohort, 1)
        evaluation = seconds(lambda: cohort.kernel.examine(cohort.parameters, cohort.everything), 1)
        light, full = (seconds(lambda found=found: take(found, cohort.view()), 1) for found in sets.values())  # type: ignore[misc]
        seen.append({"step": step, "light": light, "full": full})
        for name, points in {
            "light": {light: state.measurements},
            "full": {light: state.measurements - state.looks, full: state.looks},
        }.items():
            seen[-1] |= {f"{name} {end}": share(points, step, evaluation, end) for end in (run.steps, early)}
    median = {name: statistics.median(one[name] for one in seen) for name in seen[0]}
    for name, steps in (("light", state.measurements), ("full", state.looks)):
        print(
            f"  {name}: {1e6 * median[name] / width:,.0f} µs per run and point, {len(steps)} points in {run.steps:,} "
            f"steps of {1e6 * median['step'] / width:,.0f} µs: {median[f'{name} {run.steps}']:.1%} of the time, "
            f"{median[f'{name} {early}']:.1%} of a run that is over at step {early}",
            flush=True,
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=f"of {', '.join(SHAPES)}; all if none is given")
    parser.add_argument("--set", default="full", dest="chosen", help="measures in the table (default full)")
    parser.add_argument("--repetitions", type=int, default=9, help="repetitions of each (default 9)")
    given = parser.parse_args()
    for shape in given.shapes or SHAPES:
        run = replace(config(shape), steps=BUDGETS[shape])
        width = measured_width(run)
        print(f"{shape}, {width} runs per cohort")
        with device_named("cpu").computing(), torch.no_grad():
            shares(run, width, given.repetitions)
            if shape in WHOLE:
                whole_runs(run, width, max(3, given.repetitions // 3))
            found = defined_measures(run.task, run.model, given.chosen, frozenset())
            per_measure(run, found, width, given.repetitions)


if __name__ == "__main__":
    main()
