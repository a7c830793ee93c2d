"""How few runs, and steps, samplers need for a good map: ``python -m benchmarks.search``.

Samplers choose runs of diagrams whose truth is known (the standard ones of benchmarks.diagrams, drawn ones, and fresh
ones that nothing was ever tuned on), in waves, told what a sweep tells them. Printed, as means over diagrams and seeds:
the share of 4,096 quasi-random points that the map of a sampler's runs labels rightly, and the steps the runs took;
then how many runs and steps a sampler needs for Sobol's score at most runs, on which diagrams it is behind, and on how
many Sobol is behind itself with another seed. A run takes a quarter more steps than it needs to generalise, as the
engine's confirmation does, or its whole budget.
``--keep scores.csv`` goes on where it was stopped. ``--dense`` searches among 2,048 real runs of the default problem.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd

from analysis import RegimeMap
from benchmarks.dense_search import WAYS, report
from benchmarks.diagrams import BOX, CLIFFS, SMOOTH, Array, Diagram, on_grid, sobol
from benchmarks.drawn import drawn
from benchmarks.maps import POINTS
from grokcore.engine.early_stopping import EarlyStopping
from sweeps.samplers.base import SAMPLERS, Problem
from sweeps.spec.space import Range
from sweeps.study import ask, tell_milestones

RUNS = (48, 96, 128, 256)
RIVALS = ("sobol", "boundary", "tpe", "gp", "random", "grid")
FRESH = 10_000
"""Seed of the first fresh diagram, unless another is given."""
KEY = ["diagram", "axes", "sampler", "seed"]
WINDOW = EarlyStopping().window


@dataclass(frozen=True, kw_only=True)
class Job:
    """One sampler on one diagram with one seed."""

    kind: str
    """standard, drawn or fresh."""
    number: int
    """Place among the standard diagrams, or seed of a drawing."""
    axes: int
    """Number of axes."""
    sampler: str
    seed: int
    wave: int
    """Runs chosen at a time."""

    @property
    def diagram(self) -> Diagram:
        """Return the diagram, which as functions cannot travel between processes."""
        if self.kind == "standard":
            return [d for d in (*SMOOTH, *CLIFFS) if d.dimensions == self.axes][self.number]
        return drawn(self.number, self.axes)


def milestones(diagram: Diagram, units: Array, rng: np.random.Generator) -> pd.DataFrame:
    """Return milestones of new runs at unit coordinates as an engine records them, and the steps that each took."""
    budget = diagram.rule.budget
    mem, delay = diagram.times(units)
    t_mem = 10.0 ** (mem + diagram.noise * rng.standard_normal(len(mem)))
    t_gen = t_mem + 10.0 ** (delay + diagram.noise * rng.standard_normal(len(mem)))
    table = diagram.table(units)
    for name, time in (("t_mem", t_mem), ("t_gen", t_gen)):
        step = np.minimum(on_grid(np.minimum(time, 1e9)), 1e9)
        table[name] = np.minimum(step, budget).astype(int)
        table[f"{name}_event"] = step <= budget
    steps = np.where(table["t_gen_event"], np.minimum(WINDOW * table["t_gen"], budget), budget)
    return table.assign(steps=steps)


def search(job: Job, runs: int) -> pd.DataFrame:
    """Let a sampler choose `runs` runs of a diagram, and return them in order."""
    diagram = job.diagram
    box = list(BOX.items())[: job.axes]
    dimensions = {name: Range(low=low, high=high, log=scale == "log") for name, (low, high, scale) in box}
    options = {"points": math.ceil(runs ** (1 / job.axes) - 1e-9)} if job.sampler == "grid" else {}
    problem = Problem(dimensions=dimensions, rule=diagram.rule, runs=runs, seed=job.seed)
    study = optuna.create_study(sampler=SAMPLERS.member(job.sampler)(**options).build(problem))
    rng = np.random.default_rng([job.seed, 7])
    tables: list[pd.DataFrame] = []
    for begun in range(0, runs, job.wave):
        chosen = [ask(study, problem.distributions) for _ in range(min(job.wave, runs - begun))]
        units = np.array([[_unit(scale, low, high, p[name]) for name, (low, high, scale) in box] for _, p in chosen])
        tables.append(milestones(diagram, units, rng))
        told = tables[-1][["t_mem", "t_mem_event", "t_gen", "t_gen_event"]].to_numpy().tolist()
        for (number, _), (mem, mem_event, gen, gen_event) in zip(chosen, told, strict=True):
            tell_milestones(study, number, t_mem=(mem, mem_event), t_gen=(gen, gen_event))
    return pd.concat(tables, ignore_index=True)


def _unit(scale: str, low: float, high: float, value: float) -> float:
    return math.log(value / low) / math.log(high / low) if scale == "log" else (value - low) / (high - low)


def right(diagram: Diagram, frame: pd.DataFrame, seed: int) -> float:
    """Return the share of points that the map of some runs labels as the truth does."""
    box = {name: (low, high) for name, (low, high, _) in list(BOX.items())[: diagram.dimensions]}
    fitted = RegimeMap.fit(frame.drop(columns="steps"), diagram.axes, rule=diagram.rule, seed=seed, box=box)
    points = sobol(POINTS, diagram.dimensions, 999)
    labels = fitted.probabilities(diagram.table(points)).to_numpy().argmax(axis=1)
    return float((labels == diagram.truth(points)).mean())


def scored(job: Job, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Return one row per number of runs."""
    diagram, rows = job.diagram, []
    # A grid is laid for its number of runs; the others go on.
    frames = {n: search(job, n) for n in sizes} if job.sampler == "grid" else {}
    whole = frames[max(sizes)] if frames else search(job, max(sizes))
    for n in sizes:
        frame = frames.get(n, whole).head(n)
        rows.append(
            {"kind": job.kind, "diagram": diagram.name, "axes": job.axes, "sampler": job.sampler, "seed": job.seed}
            | {"runs": n, "right": right(diagram, frame, job.seed)}
            | {"budgets": float(frame["steps"].sum() / diagram.rule.budget)}
        )
    return rows


def verdicts(table: pd.DataFrame) -> None:
    """Print what the samplers reached, and what they needed for Sobol's score at most runs."""
    for axes, some in table.groupby("axes"):
        mean = some.groupby(["sampler", "runs"])[["right", "budgets"]].mean().unstack("runs").round(3)
        print(f"\n{axes} axes: share labelled rightly, and budgets' worth of steps\n{mean.to_string()}")
        by_kind = some.groupby(["kind", "sampler", "runs"])["right"].mean().unstack("runs").round(3)
        print(f"by kind of diagram\n{by_kind.to_string()}")
        curves = some.groupby(["sampler", "runs"])[["right", "budgets"]].mean()
        if "sobol" not in curves.index:
            continue
        by_seed = some[some["sampler"] == "sobol"].pivot_table(
            index=["diagram", "runs"], columns="seed", values="right"
        )
        for before, after in itertools.pairwise(by_seed.columns):
            behind = by_seed[after] - by_seed[before] < -0.005
            print(
                f"what noise does: with seed {after} Sobol is more than .005 behind itself with seed {before} "
                f"on {behind.sum()} of {len(behind)} lines"
            )
        goal = curves.loc["sobol"].iloc[-1]
        for name in sorted(set(some["sampler"]) - {"sobol"}):
            own = curves.loc[name]
            runs, steps = (_needed(own["right"], along, goal["right"]) for along in (own.index, own["budgets"]))
            print(
                f"{name} has Sobol's {goal['right']:.3f} at {own.index[-1]} runs after {runs:.0f} runs "
                f"({runs / own.index[-1]:.2f}) and {steps:.1f} budgets ({steps / goal['budgets']:.2f})"
            )
            pairs = some.pivot_table(index=["diagram", "runs"], columns="sampler", values="right")
            behind = (pairs[name] - pairs["sobol"]).sort_values()
            worst = ", ".join(f"{d} at {n} {v:+.3f}" for (d, n), v in behind[behind < -0.005].head(6).items())
            print(f"  more than .005 behind on {(behind < -0.005).sum()} of {len(behind)} lines: {worst or 'none'}")


def _needed(score: pd.Series, along: Any, goal: float) -> float:
    """Return where a rising score first reaches a goal, between its points in a straight line; NaN if it does not."""
    values, places = np.maximum.accumulate(score.to_numpy()), np.asarray(along, dtype=float)
    if values[-1] < goal:
        return math.nan
    index = int(np.argmax(values >= goal))
    if index == 0:
        return float(places[0])
    share = (goal - values[index - 1]) / (values[index] - values[index - 1])
    return float(places[index - 1] + share * (places[index] - places[index - 1]))


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samplers", nargs="+", default=RIVALS, choices=SAMPLERS.names)
    parser.add_argument("--axes", nargs="+", type=int, default=(2, 3), choices=(2, 3))
    parser.add_argument("--runs", nargs="+", type=int, default=RUNS)
    parser.add_argument("--seeds", type=int, default=2, help="noise seeds per diagram")
    parser.add_argument("--standard", type=int, default=99, help="standard diagrams at most")
    parser.add_argument("--drawn", type=int, default=6, help="drawn diagrams")
    parser.add_argument("--fresh", type=int, default=6, help="fresh diagrams")
    parser.add_argument("--first", type=int, default=FRESH, help="seed of the first fresh diagram")
    parser.add_argument("--wave", type=int, default=32, help="runs chosen at a time")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="a CSV that holds what was scored so far, to go on from")
    parser.add_argument("--dense", action="store_true", help="search among real runs of the default problem instead")
    given = parser.parse_args()
    if given.dense:
        ways = [way for way in WAYS if way[0] in given.samplers]
        report([32, 64, 96, 128, 192, 256] if given.runs == RUNS else given.runs, given.seeds, given.processes, ways)
        return
    standard = range(min(given.standard, len((*SMOOTH, *CLIFFS)) // 2))
    which = [("standard", n) for n in standard] + [("drawn", n) for n in range(given.drawn)]
    which += [("fresh", given.first + n) for n in range(given.fresh)]
    jobs = [
        Job(kind=kind, number=number, axes=axes, sampler=sampler, seed=seed, wave=given.wave)
        for axes in given.axes
        for seed in range(given.seeds)
        for kind, number in which
        for sampler in given.samplers
    ]
    rows: list[dict[Any, Any]] = (
        pd.read_csv(given.keep).to_dict("records") if given.keep and given.keep.is_file() else []
    )
    done = {tuple(row[name] for name in KEY) for row in rows}
    todo = [job for job in jobs if (job.diagram.name, job.axes, job.sampler, job.seed) not in done]
    with ProcessPoolExecutor(given.processes) as pool:
        for number, found in enumerate(pool.map(scored, todo, [tuple(sorted(given.runs))] * len(todo)), start=1):
            rows += found
            if given.keep:
                pd.DataFrame(rows).to_csv(given.keep, index=False)
            said = ", ".join(f"{row['right']:.3f}" for row in found)
            last = found[-1]
            print(f"{number}/{len(todo)} {last['diagram']}, {last['axes']} axes, {last['sampler']}: {said}", flush=True)
    verdicts(pd.DataFrame(rows))


if __name__ == "__main__":
    main()
