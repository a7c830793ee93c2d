"""Whether refitting maps keeps memory: ``python -m benchmarks.refits``, 200 refits in a few minutes.

A refit is what a sweep that was stopped does when it goes on: a new boundary sampler is given the study of 24 to 40
runs, a random part of a diagram's in random order, fits their map from nothing and chooses a run; that is told, and the
next one chosen with it. Prints the resident memory of the process after some of them, and in the end by how much it
grew a refit over the second half. More than `--most` MiB there exits with 1.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from optuna.trial import create_trial

from benchmarks.diagrams import BOX, SMOOTH, Diagram
from benchmarks.search import milestones
from sweeps import BoundarySampler, tell_milestones
from sweeps.samplers.boundary import Boundary
from sweeps.spec.space import Range

FEWEST, MOST = 24, 40
"""Runs that a refit knows."""
NOTED = (1, 25, 50, 100, 200)
"""Refits after which the memory is printed."""
STARTUP = 8
"""Sobol points before the sampler goes by its map, so that every refit has one."""


def resident() -> float:
    """Return the resident memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def refit(diagram: Diagram, runs: pd.DataFrame, seed: int) -> None:
    """Restore a sampler that knows `runs`, let it choose a run, tell it, and let it choose another."""
    names = list(diagram.axes)
    space = {name: Range(low=BOX[name][0], high=BOX[name][1], log=BOX[name][2] == "log").distribution for name in names}
    # Without points of Sobol's sequence each choice is by a map.
    settings = Boundary(startup=STARTUP, sobol=0.0)
    sampler = BoundarySampler(diagram.rule, seed=seed, settings=settings, distributions=space)
    study = optuna.create_study(sampler=sampler)
    for run in runs.to_dict("records"):
        told = {name: [int(run[name]), bool(run[f"{name}_event"])] for name in ("t_mem", "t_gen")}
        params = {name: run[name] for name in names}
        study.add_trial(create_trial(value=0.0, params=params, distributions=space, user_attrs=told))
    chosen = study.ask(space)
    tell_milestones(study, chosen, t_mem=(50, True), t_gen=(diagram.rule.budget, False))
    study.ask(space)


def main() -> None:
    """Refit maps again and again, and print the memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--refits", type=int, default=NOTED[-1])
    parser.add_argument("--most", type=float, default=0.1, help="MiB a refit by which memory may grow")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    diagrams = [diagram for diagram in SMOOTH if diagram.dimensions == 2]
    rng, begun = np.random.default_rng(0), time.monotonic()
    noted: list[tuple[int, float]] = []
    for number in range(1, options.refits + 1):
        diagram = diagrams[number % len(diagrams)]
        units = rng.random((int(rng.integers(FEWEST, MOST + 1)), 2))
        refit(diagram, milestones(diagram, units, rng), number)
        if number in NOTED or number == options.refits:
            noted.append((number, resident()))
            print(f"after {number:3d} refits {noted[-1][1]:7.1f} MiB, {time.monotonic() - begun:5.0f} s", flush=True)
    half = [at for at in noted if at[0] >= options.refits / 2]
    if len(half) > 1:
        grown = (half[-1][1] - half[0][1]) / (half[-1][0] - half[0][0])
        print(f"over the second half {1024 * grown:+.0f} KiB a refit; {1024 * options.most:.0f} are let pass")
        raise SystemExit(int(grown > options.most))


if __name__ == "__main__":
    main()
