"""Core-seconds from nothing to a map of the default problem of a stated accuracy: ours, and as one would wire it.

``python -m benchmarks.map_cost`` measures on this machine, in one run, what a training step costs

- as the documentation of Ray Tune, Optuna and MLflow shows: `OptunaSearch` and `MLflowLoggerCallback`, one trial a run,
  a plain PyTorch loop that reports once at its end;
- the same with `reuse_actors=True`, so that no run has a process of its own;
- in our sweeps, MLflow's mirror included, where runs are trained as cohorts, and the same with hazard stopping, whose
  forecasts cost something too.

How many steps a map takes is read off the dense truth (`benchmarks.dense_search`): a regular grid read by its nearest
run, the same with our map, runs that the boundary sampler chooses, and those with hazard stopping. Both loops stop a
run once it has generalised. The products, at the accuracy of the best grid that is read by its nearest run, are printed
step by step, and for .95 where that is reached. A core-second is a slot's wall time, so other work on the machine
counts; a processor second is not, and leaves out what waits. The start of Ray is in neither.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from benchmarks.dense import default, fitted, truth
from benchmarks.dense_search import chosen, report, steps_to
from benchmarks.sweep import ours
from grokcore.records.milestones import first_passage
from grokcore.run_config import RunConfig
from sweeps.store.run_store import read_records

WAYS: Final = (("boundary", "hazard"), ("boundary", "none"))
SIZES: Final = (32, 64, 96, 128, 160, 192)
DETAIL: Final = 0.95
"""An agreement that is asked for too."""
TYPICAL: Final = 96
"""Runs of a map whose fit and whose choice are timed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """What a training step of a run costs in one way, whatever lies around it included but the start of Ray."""

    core: float
    """Core-seconds: slots times wall time."""
    cpu: float
    """Processor seconds."""


def sampled(runs: int) -> tuple[list[dict[str, Any]], int]:
    """Return parameters of runs of the dense sweep, spread over their lengths, and the steps that they took."""
    frame = truth().sort_values("last_step", ignore_index=True)
    some = frame.iloc[((np.arange(runs) + 0.5) / runs * len(frame)).astype(int)]
    names = list(default().whole_space.dimensions)
    params = [{n: int(row[n]) if n == "seed" else float(row[n]) for n in names} for _, row in some.iterrows()]
    return params, int(some["last_step"].sum())


def plain_trial(config: dict[str, Any]) -> None:
    """Train one run in a plain loop, evaluated on the engine's clock and stopped by its rule, and report it."""
    import torch
    from ray import tune

    from benchmarks.plain import build
    from grokcore.engine.early_stopping import EarlyStopping
    from grokcore.engine.evaluation_schedule import evaluation_steps

    torch.set_num_threads(1)
    run: RunConfig = default().whole_space.config(config)
    plain, rule = build(run), EarlyStopping()
    train, val, steps = list[float](), list[float](), list[int]()
    marks = frozenset(evaluation_steps(run.steps))
    for step in range(run.steps + 1):
        if step:
            plain.step()
        if step in marks:
            seen = plain.look()
            steps.append(step)
            train.append(seen["train_accuracy"])
            val.append(seen["val_accuracy"])
            if rule.due(steps, train, val):
                break
    found = {}
    for name, curve in (("t_mem", train), ("t_gen", val)):
        found[name] = first_passage(np.array(steps), np.array(curve), default().rule.threshold).step
    tune.report({**found, "steps": steps[-1], "process": os.getpid(), "cpu": time.process_time()})


def as_documented(params: Sequence[dict[str, Any]], *, reuse: bool, slots: int) -> Step:
    """Train runs as trials of Ray Tune, chosen by Optuna and logged to MLflow; return the cost."""
    import ray
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback
    from ray.tune.search.optuna import OptunaSearch

    ray.init(address="local", num_cpus=slots, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        search = OptunaSearch(
            default().whole_space.distributions, metric="t_gen", mode="min", points_to_evaluate=list(params)
        )
        mirror = MLflowLoggerCallback(tracking_uri=f"sqlite:///{folder}/mlflow.db", experiment_name="plain")
        begun, cpu = time.monotonic(), time.process_time()
        results = tune.Tuner(
            plain_trial,
            tune_config=tune.TuneConfig(search_alg=search, num_samples=len(params), reuse_actors=reuse),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, callbacks=[mirror]),
        ).fit()
        wall, driver = time.monotonic() - begun, time.process_time() - cpu
    ray.shutdown()
    if results.num_errors:
        raise RuntimeError(f"{results.num_errors} plain trials failed: {results.errors[0]}")
    table = results.get_dataframe()
    # A process that trained several runs says at the end of each what it has used so far.
    workers = table.groupby("process")["cpu"].max().sum()
    steps = int(table["steps"].sum())
    return Step(core=slots * wall / steps, cpu=(driver + workers) / steps)


def in_cohorts(runs: int, stopping: str) -> Step:
    """Run our sweep, and write its mirror; return the cost."""
    spec = dataclasses.replace(default(), name="cost", runs=runs, stopping=stopping)
    with tempfile.TemporaryDirectory() as folder:
        cost, _ = ours(spec, Path(folder))
        steps = sum(record.steps for record in read_records(Path(folder) / spec.name))
    return Step(core=cost.core_seconds / steps, cpu=cost.cpu_seconds / steps)


def choosing(runs: int) -> float:
    """Return the processor seconds that choosing so many runs and drawing their map take."""
    begun = time.process_time()
    fitted(chosen("boundary", "hazard", runs, 0))
    return time.process_time() - begun


def ladder(goal: float, table: pd.DataFrame, costs: dict[str, Step], thinking: dict[str, float]) -> None:
    """Print what a map of an accuracy takes, one improvement after the other."""
    whole = int(truth()["last_step"].sum())
    mean = table.groupby(["way", "runs"])[["right", "steps"]].mean().reset_index()
    needed = {
        way: whole * steps_to(goal, some["right"].to_list(), some["steps"].to_list())
        for way, some in mean.groupby("way")
    }
    grid, mapped = needed["grid, nearest run"], needed["grid, our map"]
    lines = [
        ("Tune + Optuna + MLflow, a process a run", grid, "process", 0.0),
        ("no process a run", grid, "reused", 0.0),
        ("runs share their steps: our engine", grid, "cohorts", 0.0),
        ("our map of the grid's runs", mapped, "cohorts", thinking["map"]),
        ("runs that the sampler chooses", needed["boundary"], "cohorts", thinking["choosing"]),
        ("hopeless runs stopped", needed["boundary, hazard"], "stopped", thinking["choosing"]),
    ]
    print(f"\na map that agrees with the dense one at {goal:.3f}, gains beside the line before and in all")
    print(f"{'':40} {'steps':>11} {'core-s':>9} {'':>7} {'':>8} {'cpu-s':>9} {'':>7} {'':>8}")
    before: list[float] = []
    first: list[float] = []
    for name, steps, way, extra in lines:
        if not np.isfinite(steps):
            print(f"{name:40} {'not reached':>11}")
            continue
        seconds = [steps * cost + extra for cost in (costs[way].core, costs[way].cpu)]
        first = first or seconds
        gains = [f"{b / s:6.1f}× {f / s:7.1f}×" for b, f, s in zip(before or seconds, first, seconds, strict=True)]
        print(f"{name:40} {steps:11,.0f} {seconds[0]:9.1f} {gains[0]} {seconds[1]:9.1f} {gains[1]}")
        before = seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=8, help="runs of each plain experiment")
    parser.add_argument("--runs", type=int, default=64, help="runs of our sweep")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the search")
    given = parser.parse_args()
    os.environ.setdefault("RAY_ADDRESS", "local")
    slots = len(os.sched_getaffinity(0))
    params, expected = sampled(given.sample)
    print(
        f"{slots} cores; {given.sample} plain runs of about {expected:,} steps, {given.runs} runs of ours", flush=True
    )
    costs = {
        "process": as_documented(params, reuse=False, slots=slots),
        "reused": as_documented(params, reuse=True, slots=slots),
        "cohorts": in_cohorts(given.runs, "none"),
        "stopped": in_cohorts(given.runs, "hazard"),
    }
    for name, cost in costs.items():
        print(f"{name:8} {1000 * cost.core:8.3f} core-seconds, {1000 * cost.cpu:8.3f} processor seconds, 1,000 steps")
    thinking = {"choosing": choosing(TYPICAL)}
    begun = time.process_time()
    fitted(truth().head(TYPICAL))
    thinking["map"] = time.process_time() - begun
    print(f"a map of {TYPICAL} runs takes {thinking['map']:.1f} processor seconds, with choosing them", end=" ")
    print(f"{thinking['choosing']:.1f}", flush=True)
    table = report(SIZES, given.seeds, slots, WAYS)
    best = table.loc[table["way"] == "grid, nearest run", "right"].max()
    for goal in sorted({float(best), DETAIL}):
        ladder(goal, table, costs, thinking)


if __name__ == "__main__":
    main()
