"""The default problem, 2,048 runs of it: ``benchmarks/default_dense.parquet``, the truth that searches are held to.

Two commands make the file anew; the first takes about twenty minutes of two cores, and goes on where it was stopped::

    python sweep.py --name dense --runs 2048 --stopping none --measures weight_norm --no-mlflow --no-map
    python -m benchmarks.dense results/dense

A row is a run: where it lies, its milestones, its last step, and the step at which the hazard rule of stopping, with
its defaults, would have ended it (its last step where it would not). The forecaster that comes with the package learned
from a sweep of this very problem, so the rule goes here by one that did not; in the file as it is, by one that knew
nothing yet of what a map expects. `Pool` answers a search from these rows: a point that is asked for is answered by the
nearest run that was not given yet, at the place where that run lies.
"""

from __future__ import annotations

import argparse
import math
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis import RegimeMap
from analysis.forecast.forecaster import Forecaster, KnownRun
from analysis.forecast.hazard_rule import HazardRule
from benchmarks.diagrams import sobol
from benchmarks.forecast import sweeps
from grokcore.atomic_files import replacing
from sweeps.finished_runs.load import load
from sweeps.spec.space import Range
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.stopping.hazard import Hazard

FILE: Final = Path(__file__).with_name("default_dense.parquet")
SWEEP: Final = Path(__file__).resolve().parents[1] / "sweep.py"
AXES: Final = {"fraction": "linear", "optimizer.decay": "log", "optimizer.rate": "log"}
SAME: Final = "addition-31"
"""The kept sweep that is of this problem."""
POINTS: Final = 4096
"""Quasi-random points at which a map is compared with the dense one."""


def default() -> SweepSpec:
    """Return the specification of sweep.py."""
    spec: SweepSpec = runpy.run_path(str(SWEEP))["spec"]
    return spec


def unseen() -> HazardRule:
    """Return the hazard rule, its forecaster taught by every kept sweep but the one of this very problem."""
    taught = (run.known for name, runs in sweeps().items() if name != SAME for run in runs)
    return HazardRule(Forecaster.of_runs(taught), chance=Hazard().chance, looks=Hazard().looks)


def table_of(folder: Path) -> pd.DataFrame:
    """Return a finished sweep's runs, a row each, with the step at which the hazard rule would have ended them."""
    sweep, rule = load(folder), unseen()
    rows = []
    for record in sweep.records.values():
        row = record.row(sweep.rule)
        settings = {"rate": row["optimizer.rate"], "decay": row["optimizer.decay"]}
        known = KnownRun(curves=record.columns, settings=settings, budget=sweep.rule.budget)
        # The first verdict of a run that was not stopped, as it would have been on the way.
        verdict = rule.first(known)
        row["stopped_at"] = row["last_step"] if verdict is None else min(verdict.step, row["last_step"])
        rows.append(row)
    columns = ["run_id", *AXES, "seed", "t_mem", "t_mem_event", "t_gen", "t_gen_event", "last_step", "stopped_at"]
    return pd.DataFrame(rows)[columns].sort_values("run_id", ignore_index=True)


def units_of(frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return where runs lie, as shares of the axes, (runs, 3)."""
    return np.column_stack([_unit(axis, frame[name].to_numpy(dtype=float)) for name, axis in _ranges().items()])


def at(units: npt.NDArray[np.float64]) -> pd.DataFrame:
    """Return the points at unit coordinates, (points, 3)."""
    columns = {}
    for place, (name, axis) in enumerate(_ranges().items()):
        u = units[:, place]
        columns[name] = axis.low * (axis.high / axis.low) ** u if axis.log else axis.low + (axis.high - axis.low) * u
    return pd.DataFrame(columns)


def fitted(frame: pd.DataFrame, seed: int = 0) -> RegimeMap:
    """Return the map of some runs over the whole box of the default sweep."""
    box = {name: (axis.low, axis.high) for name, axis in _ranges().items()}
    return RegimeMap.fit(frame, AXES, rule=default().rule, seed=seed, box=box)


def labels_of(regimes: RegimeMap) -> npt.NDArray[np.int64]:
    """Return the likeliest regime at each of `POINTS` points, (POINTS,)."""
    return np.asarray(regimes.probabilities(at(sobol(POINTS, 3, 999))).to_numpy().argmax(axis=1))


class Pool:
    """Answers points by runs of the dense sweep: each point by the nearest that was not given yet."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self._units = units_of(frame)
        self._left = np.ones(len(frame), dtype=bool)

    def nearest(self, params: Mapping[str, Any] | pd.Series) -> pd.Series:
        """Return the nearest run that is left, and take it."""
        unit = units_of(pd.DataFrame([{name: params[name] for name in AXES}]))[0]
        gaps = ((self._units - unit) ** 2).sum(axis=1)
        index = int(np.argmin(np.where(self._left, gaps, np.inf)))
        self._left[index] = False
        return self.frame.iloc[index]


def truth() -> pd.DataFrame:
    """Return the runs of the dense sweep."""
    return pd.read_parquet(FILE)


def _ranges() -> dict[str, Range]:
    found = default().whole_space.dimensions
    return {name: axis for name, axis in found.items() if isinstance(axis, Range)}


def _unit(axis: Range, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if axis.log:
        return np.asarray(np.log(values / axis.low) / math.log(axis.high / axis.low))
    return np.asarray((values - axis.low) / (axis.high - axis.low))


def main() -> None:
    """Make the table of a finished sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the finished sweep")
    table = table_of(parser.parse_args().folder)
    with replacing(FILE) as path:
        table.to_parquet(path, index=False, compression="zstd")
    saved = 1 - table["stopped_at"].sum() / table["last_step"].sum()
    late = int((table["t_gen_event"] & (table["stopped_at"] < table["t_gen"])).sum())
    stopped = table["stopped_at"] < table["last_step"]
    unmemorised = stopped & ~(table["t_mem_event"] & (table["t_mem"] <= table["stopped_at"]))
    memorised = int((unmemorised & table["t_mem_event"]).sum())
    print(f"{FILE}: {len(table):,} runs, {int(table['last_step'].sum()):,} steps, {FILE.stat().st_size / 1e6:.2f} MB")
    print(f"hazard stopping saves {saved:.1%} of the steps; {late} runs that generalised are lost")
    early = int(unmemorised.sum())
    print(f"{int(stopped.sum())} runs are stopped, {early} before they memorise; of these {memorised} would have later")


if __name__ == "__main__":
    main()
