"""Searches on real runs: how many steps the map of the default problem takes, by who chooses and who stops.

``python -m benchmarks.search --dense`` lets samplers choose among the runs of benchmarks/dense.py in waves, and prints
the share of 4,096 points at which the map of the chosen runs has the likeliest regime of the map of all 2,048, with the
steps that the runs took as a share of those of all; then the share at which .95 is reached. With hazard stopping a run
ends where the forecaster would have ended it; one in twenty is audited and goes on. The map takes the forecast at its
word; "censored" is the same runs' map that does not, and knows of a stopped run its steps alone. A regular grid is also
read by the nearest run. The maps of two halves of all runs, parted by lot, say how far seeds let maps agree at all. The
compared maps are of runs that the truth has too, so agreement is a little higher than with new runs, for every sampler
alike.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import optuna
import pandas as pd
import torch

from analysis.forecast.landmarks import landmarks
from benchmarks.dense import POINTS, Pool, at, default, fitted, labels_of, truth, units_of
from benchmarks.diagrams import sobol
from benchmarks.maps import nearest
from sweeps.samplers.base import SAMPLERS, Problem
from sweeps.study import ask, tell_milestones

LABELS: Final = "GROKMAP_BENCHMARK_LABELS"
"""Environment variable that tells processes where the true labels lie."""
WAVE: Final = 32
AUDIT: Final = 0.05
GOAL: Final = 0.95
WAYS: Final = (
    ("boundary", "hazard"), ("boundary", "none"), ("sobol", "hazard"), ("sobol", "censored"), ("sobol", "none"),
    ("random", "none"), ("tpe", "none"),
)  # fmt: skip
"""Samplers, each without stopping or with it, and what the map makes of a stopped run."""
GRIDS: Final = (3, 4, 5, 6, 7, 8, 9, 10)
"""Points along each axis; of those up to `MAPPED` our map is drawn too."""
MAPPED: Final = 6

_LANDMARKS: Final = landmarks(default().rule.budget)


def finished(run: pd.Series) -> dict[str, Any]:
    """Return a run as it is without stopping."""
    return {str(name): value for name, value in run.items()} | {"outcome": "finished", "reason": "", "ruled_out": 0}


def stopped(run: pd.Series, rng: np.random.Generator) -> dict[str, Any]:
    """Return a run as hazard stopping leaves it: censored at the step where it ends, unless it is audited."""
    row = finished(run)
    # The file's stops are of a rule that knew nothing of memorising: a run that memorises goes on until it has.
    since = int(run["t_mem"]) if run["t_mem_event"] else 0
    end = next((step for step in _LANDMARKS if step >= max(run["stopped_at"], since)), int(run["last_step"]))
    if end >= run["last_step"] or rng.random() < AUDIT:
        return row
    for name in ("t_mem", "t_gen"):
        if not (row[f"{name}_event"] and row[name] <= end):
            row |= {name: end, f"{name}_event": False}
    return row | {"last_step": end, "outcome": "stopped", "ruled_out": default().rule.budget}


def chosen(sampler: str, stopping: str, runs: int, seed: int) -> pd.DataFrame:
    """Return the runs that a sampler chooses of the dense sweep, in order."""
    pool, rng = Pool(truth()), np.random.default_rng([seed, 11])
    problem = dataclasses.replace(default().problem, seed=seed)
    study = optuna.create_study(sampler=SAMPLERS.member(sampler)().build(problem))
    rows: list[dict[str, Any]] = []
    for begun in range(0, runs, WAVE):
        for number, params in [ask(study, problem.distributions) for _ in range(min(WAVE, runs - begun))]:
            run = pool.nearest(params)
            move(study, number, problem, run)
            row = finished(run) if stopping == "none" else stopped(run, rng)
            rows.append(row)
            mem, gen = ((int(row[name]), bool(row[f"{name}_event"])) for name in ("t_mem", "t_gen"))
            if row["outcome"] == "stopped":
                mem, gen = (at if at[1] else (problem.rule.budget, False) for at in (mem, gen))
            tell_milestones(study, number, t_mem=mem, t_gen=gen)
    return pd.DataFrame(rows)


def move(study: optuna.Study, number: int, problem: Problem, run: pd.Series) -> None:
    """Move a trial to where the run that answers it lies."""
    trial_id = study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    for name, distribution in problem.distributions.items():
        value = int(run[name]) if name == "seed" else float(run[name])
        study._storage.set_trial_param(trial_id, name, distribution.to_internal_repr(value), distribution)


def grid(points: int) -> pd.DataFrame:
    """Return the runs that are nearest to a regular grid, the ends of the axes in it."""
    pool, shares = Pool(truth()), np.linspace(0, 1, points)
    units = np.array(list(itertools.product(shares, repeat=3)))
    return pd.DataFrame([pool.nearest(row) for _, row in at(units).iterrows()])


def steps_to(goal: float, agreement: Sequence[float], steps: Sequence[float]) -> float:
    """Return the share of all steps at which agreement first reaches a goal, in straight lines; NaN if it does not."""
    best = np.maximum.accumulate(np.asarray(agreement))
    if best[-1] < goal:
        return math.nan
    index = int(np.argmax(best >= goal))
    if index == 0:
        return float(steps[0])
    share = (goal - best[index - 1]) / (best[index] - best[index - 1])
    return float(steps[index - 1] + share * (steps[index] - steps[index - 1]))


def one(job: tuple[str, str, int, tuple[int, ...]]) -> list[dict[str, Any]]:
    """Return agreement and steps of a way of choosing at some numbers of runs."""
    sampler, stopping, seed, sizes = job
    torch.set_num_threads(1)
    labels, whole = np.load(_labels_file()), truth()["last_step"].sum()
    name = sampler if stopping == "none" else f"{sampler}, {stopping}"
    rows = []
    if sampler == "grid":
        points, rule = sobol(POINTS, 3, 999), default().rule
        for size in GRIDS:
            runs = grid(size)
            own = rule.labels(*(runs[column] for column in ("t_mem", "t_mem_event", "t_gen", "t_gen_event")))
            found = {"grid, nearest run": nearest(units_of(runs), own, points)}
            if size <= MAPPED:
                found["grid, our map"] = labels_of(fitted(runs))
            common = {"seed": 0, "runs": len(runs), "steps": float(runs["last_step"].sum() / whole)}
            rows += [{"way": way, **common, "right": float((here == labels).mean())} for way, here in found.items()]
        return rows
    frame = chosen(sampler, stopping, max(sizes), seed)
    if stopping == "censored":
        frame = frame.assign(ruled_out=0)
    for size in sizes:
        some = frame.head(size)
        right = float((labels_of(fitted(some, seed)) == labels).mean())
        rows.append({"way": name, "seed": seed, "runs": size, "steps": float(some["last_step"].sum() / whole)})
        rows[-1]["right"] = right
    return rows


def halves(frame: pd.DataFrame, labels: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Return how well the maps of two halves of the runs, parted by lot, agree with each other and with that of all."""
    order = np.random.default_rng(0).permutation(len(frame))
    first, second = (
        labels_of(fitted(frame.iloc[np.sort(part)].reset_index(drop=True))) for part in np.array_split(order, 2)
    )
    return float((first == second).mean()), float(((first == labels).mean() + (second == labels).mean()) / 2)


def report(sizes: Sequence[int], seeds: int, processes: int, ways: Sequence[tuple[str, str]] = WAYS) -> pd.DataFrame:
    """Print and return what the ways of choosing reach."""
    frame = truth()
    with tempfile.TemporaryDirectory() as folder:
        os.environ[LABELS] = str(Path(folder) / "labels.npy")
        labels = labels_of(fitted(frame))
        np.save(_labels_file(), labels)
        jobs = [("grid", "none", 0, ())] + [(*way, seed, tuple(sorted(sizes))) for seed in range(seeds) for way in ways]
        with ProcessPoolExecutor(processes) as pool:
            rows = [row for found in pool.map(one, jobs) for row in found]
    table = pd.DataFrame(rows)
    print(
        f"the default problem: {len(frame):,} runs, {int(frame['last_step'].sum()):,} steps; means over {seeds} seeds"
    )
    each_other, whole = halves(frame, labels)
    print(f"maps of two halves of them agree at {each_other:.3f} with each other, at {whole:.3f} with that of all")
    print("agreement with their map, and the share of their steps that was taken")
    mean = table.groupby(["way", "runs"], sort=False)[["right", "steps"]].mean().reset_index()
    for way, some in mean.groupby("way", sort=False):
        line = "  ".join(f"{row.runs:>4}: {row.right:.3f} {row.steps:.3f}" for row in some.itertuples())
        share = steps_to(GOAL, some["right"].to_list(), some["steps"].to_list())
        reached = f"1/{1 / share:.1f} of the steps" if np.isfinite(share) else "is not reached"
        print(f"{way:<20} {line}\n{'':<20} {GOAL}: {reached}", flush=True)
    return table


def _labels_file() -> Path:
    return Path(os.environ[LABELS])
