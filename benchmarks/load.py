"""Load: what one driver sustains, with synthetic cohorts in place of training.

``python -m benchmarks.load`` drives a real `Driver` (Optuna study and store of records on disk) with runs that cost
nothing, at 1k, 10k and 100k finished runs, then writes the tables, then mirrors a sample of the runs in MLflow.
Every cohort reports through Ray Tune's callback as in a sweep, and so many are out at the same time as there are slots:
64 at every size, and 1,000 at the largest. Only the driver's own work is timed: what workers would do (making records,
encoding them) is done off the clock. At the end it is simulated how busy devices are that such a driver feeds.

    python -m benchmarks.load                     1k, 10k and 100k runs (30 minutes, 15 GB of disk)
    python -m benchmarks.load --runs 1000 10000   up to 10k only
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import json
import os
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np

from benchmarks import fleet
from grokcore.engine.evaluation_schedule import evaluation_steps, measure_steps
from grokcore.engine.grouping import cohort_key
from grokcore.records.regimes import RegimeRule
from grokcore.records.run_record import Outcome, RunRecord
from grokcore.run_config import RunConfig
from sweeps.driver import CohortTask, Driver
from sweeps.execution.searcher import Recorder
from sweeps.progress import Watcher
from sweeps.spec.space import Choice, Range
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.reported_run import report
from sweeps.store.run_store import Store
from sweeps.store.tables import write_tables

T = TypeVar("T")

BUDGET = 5000
"""Steps of a synthetic run."""
THRESHOLD = 0.9
"""The accuracy that a synthetic run reaches or does not."""
MEASURES = ("weight_norm", "effective_rank", "fourier_concentration")
"""Measures beside the four curves that every run has, taken at every sixth evaluation."""
CURVES = 100
"""Different curves that are made; making them would take longer than what is measured."""
MARK = '"columns":'
"""Where the curves begin in the line of a record."""
ORIGINALS = 50
"""Runs in MLflow of which the others that are there already are copies."""
WINDOW = 500
"""Runs at the end over which the cost per run is taken."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one driver is loaded with."""

    runs: int
    """Runs of the sweep."""
    sampler: str
    """Who chooses them."""
    width: int
    """Runs of a cohort."""
    slots: int
    """Cohorts that are out at the same time."""
    tables: bool
    """Whether the tables are written and the sweep is gone on with afterwards."""


def spec(runs: int, sampler: str) -> SweepSpec:
    """Return the sweep whose runs are pretended to be made."""
    return SweepSpec(
        name=f"load-{runs}",
        run={
            "task": {"name": "modular_addition", "modulus": 31},
            "model": {"name": "mlp", "width": 64},
            "optimizer": {"name": "adamw", "betas": [0.9, 0.98]},
            "steps": BUDGET,
        },
        space={
            "fraction": Range(low=0.2, high=0.9),
            "decay": Range(low=0.03, high=10, log=True),
            "rate": Range(low=0.001, high=0.1, log=True),
            "seed": Choice(values=tuple(range(10))),
        },
        rule=RegimeRule(threshold=THRESHOLD, budget=BUDGET, ratio=5.0),
        runs=runs,
        sampler=sampler,
    )


def pretended(config: RunConfig, rng: np.random.Generator) -> RunRecord:
    """Return a finished run of plausible curves: it memorises, and later it may generalise."""
    steps = np.array(evaluation_steps(BUDGET))
    mem, gen = 10 ** rng.uniform(1, 3), 10 ** rng.uniform(2, 4.5)
    noise = rng.normal(0, 0.01, (2, len(steps)))
    train = np.clip(1 / (1 + (mem / (steps + 1)) ** 3) + noise[0], 0, 1)
    val = np.clip(1 / (1 + (gen / (steps + 1)) ** 3) + noise[1], 0, 1)
    columns = {"step": steps, "train_loss": -np.log(train + 1e-6), "train_accuracy": train}
    columns |= {"val_loss": -np.log(val + 1e-6), "val_accuracy": val}
    measured = np.isin(steps, list(measure_steps(BUDGET)))
    columns |= {name: np.where(measured, rng.normal(10, 1, len(steps)), np.nan) for name in MEASURES}
    return RunRecord(config=config, outcome=Outcome.FINISHED, columns=columns, environment={"torch": "pretended"})


def pretended_reports(task: CohortTask, rng: np.random.Generator, curves: list[str]) -> list[dict[str, Any]]:
    """Return what a worker would report of a cohort's runs; after the first hundred the curves are used again."""
    reports = []
    for config in task.configs:
        if len(curves) < CURVES:
            curves.append(pretended(config, rng).to_json().partition(MARK)[2])
        empty = RunRecord(config=config, outcome=Outcome.FINISHED, columns={"step": np.array([], dtype=np.int64)})
        found = report(empty, THRESHOLD)
        mem, gen = (int(step) for step in 10 ** rng.uniform((1, 2), (3, 3.6)))
        line = found["record"].partition(MARK)[0] + MARK + curves[int(rng.integers(len(curves)))]
        reports.append(found | {"train": [True, mem], "val": [bool(rng.integers(2)), gen], "record": line})
    return reports


def peak_memory() -> float:
    """Return the most memory this process has had, in bytes."""
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Timed:
    """Adds up the wall and the processor time that the driver takes, run by run."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def __call__(self, runs: int, work: Callable[[], T]) -> T:
        """Return what `work` returns; its time is put down to `runs` runs."""
        begun, busy = time.perf_counter(), time.process_time()
        found = work()
        spent, worked = time.perf_counter() - begun, time.process_time() - busy
        self.wall.append(spent)
        self.cpu.append(worked)
        self.runs = getattr(self, "runs", 0) + runs
        return found

    def last_cpu(self, runs: int) -> float:
        """Return the processor time of the last calls, which about `runs` runs took."""
        share = max(1, round(len(self.cpu) * runs / self.runs))
        return sum(self.cpu[-share:]) / (self.runs * share / len(self.cpu))


def drive(folder: Path, load: Load) -> dict[str, float]:
    """Run a whole sweep of pretended cohorts, so many of them out at a time; return rates, costs, memory and sizes.

    Every cohort reports as one of the sweep's does: now and then without a finished run, at the end with them.
    """
    rng = np.random.default_rng(0)
    timed, curves, cohorts, base = Timed(), list[str](), 0, peak_memory()
    sweep = spec(load.runs, load.sampler)
    out: deque[CohortTask] = deque()
    with Store(sweep, folder) as store:
        driver = Driver(store, key=cohort_key, width=lambda _: load.width, slots=lambda: load.slots)
        recorder = Recorder(driver, Watcher(spec=sweep))
        while not driver.finished:
            while len(out) < load.slots and (task := timed(0, driver.next_cohort)) is not None:
                out.append(task)
            if not out:
                raise RuntimeError("the driver has neither finished nor a cohort to hand out")
            task = out.popleft()
            trial = SimpleNamespace(config={"cohort": task.name})
            work = {"run_steps": 1000, "cpu_seconds": 1.0, "train_seconds": 1.0, "trouble": ""}
            for reports in ([], [], pretended_reports(task, rng, curves)):
                result = {"records": reports, **work}
                timed(len(reports), functools.partial(recorder.on_trial_result, 0, [], trial, result))
            timed(0, functools.partial(recorder.on_trial_complete, 0, [], trial))
            cohorts += 1
        path, memory = store.path, peak_memory()
    found = {
        "runs": load.runs,
        "slots": load.slots,
        "runs_per_second": load.runs / sum(timed.wall),
        "cohorts_per_second": cohorts / sum(timed.wall),
        "cpu_ms_per_run": 1000 * sum(timed.cpu) / load.runs,
        "last_cpu_ms_per_run": 1000 * timed.last_cpu(WINDOW),
        "driver_mb": memory / 1e6,
        "driver_growth_mb": (memory - base) / 1e6,
        "store_mb": (path / "records.jsonl").stat().st_size / 1e6,
    }
    return found | _aftermath(folder, load.runs, load.sampler, load.width) if load.tables else found


def _aftermath(folder: Path, runs: int, sampler: str, width: int) -> dict[str, float]:
    """Measure what comes after the last run, the tables, and what it takes to go on with a sweep."""
    path = folder / f"load-{runs}"
    begun = time.perf_counter()
    write_tables(path, spec(runs, sampler).rule)
    tables = time.perf_counter() - begun
    begun = time.perf_counter()
    with Store(spec(runs, sampler), folder) as store:
        Driver(store, key=cohort_key, width=lambda _: width, slots=lambda: 64)
    again = time.perf_counter() - begun
    return {"tables_seconds": tables, "with_tables_mb": peak_memory() / 1e6, "restart_seconds": again}


def mirror(path: Path, runs: int, there: int) -> dict[str, float]:
    """Write `runs` of the sweep in `path` to MLflow as the mirror does, where it has `there` already.

    Those are copies of a few that were written first.
    """
    from sweeps.store.run_store import read_records
    from sweeps.tracking.mlflow_mirror import Mirror

    records = read_records(path)
    first = Mirror(path)
    first.write_all(itertools.islice(records, ORIGINALS))
    crowd(path.parent / "mlflow.db", there)
    begun = time.perf_counter()
    writer = Mirror(path)
    writer.write(next(records))
    again = time.perf_counter() - begun
    begun, busy = time.perf_counter(), time.process_time()
    written = writer.write_all(itertools.islice(records, runs))
    spent, worked = time.perf_counter() - begun, time.process_time() - busy
    return {
        "mlflow_restart_seconds": again,
        "mirrored": written,
        "mlflow_runs_per_second": written / spent,
        "mlflow_cpu_ms_per_run": 1000 * worked / written,
        "mlflow_mb": (path.parent / "mlflow.db").stat().st_size / 1e6,
    }


def crowd(database: Path, runs: int) -> None:
    """Copy the runs in MLflow's database, past MLflow itself, until there are some `runs` of them."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA cache_size=-1000000")
        connection.execute("PRAGMA synchronous=OFF")
        (there,) = connection.execute("SELECT count(*) FROM runs").fetchone()
        connection.execute("CREATE TEMP TABLE copies (n)")
        connection.executemany("INSERT INTO copies VALUES (?)", [(n,) for n in range(1, runs // there)])
        for table in ("runs", "tags", "params", "latest_metrics", "metrics"):
            names = [f'"{row[1]}"' for row in connection.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(names).replace('"run_uuid"', "printf('%08x', n) || substr(run_uuid, 9)")
            # A copy is another run of the sweep: with the same identity it would be merged with its original.
            another = "CASE key WHEN 'run_id' THEN printf('%08x', n) || substr(value, 9) ELSE value END"
            values = values.replace('"value"', another) if table == "tags" else values
            connection.execute(f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table}, copies")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _apart(work: str, *words: object) -> dict[str, float]:
    """Do one measurement in a process of its own, so that its memory is its own."""
    import subprocess

    command = [sys.executable, "-m", "benchmarks.load", "--child", work, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(loads: Sequence[Load], mirrored: int) -> Iterator[dict[str, float]]:
    """Yield the figures of each load, smallest first; MLflow is measured at each as well."""
    for load in loads:
        folder = Path(tempfile.mkdtemp(prefix="grokmap-load-"))
        try:
            words = (load.runs, load.sampler, load.width, load.slots, int(load.tables))
            found = _apart("drive", folder, *words)
            if mirrored:
                found |= _apart("mirror", folder / f"load-{load.runs}", mirrored, load.runs)
            yield found
        finally:
            shutil.rmtree(folder)


def main() -> None:
    """Measure and print one line a size, as JSON at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--sampler", default="sobol")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--slots", type=int, nargs="+", default=[64, 1000], help="cohorts out at the same time")
    parser.add_argument("--mirrored", type=int, default=200)
    parser.add_argument("--no-tables", action="store_true", help="leave out the tables and the restart")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.child:
        print(json.dumps(_child(*words.child)))
        return
    print(f"sampler {words.sampler}, cohorts of {words.width}, {os.cpu_count()} cores")
    common = {"sampler": words.sampler, "width": words.width, "tables": not words.no_tables}
    found = []
    # The first number of slots at every size; the others at the largest, to compare.
    pairs = [(runs, words.slots[0]) for runs in words.runs] + [(words.runs[-1], slots) for slots in words.slots[1:]]
    for figures in measure([Load(runs=runs, slots=slots, **common) for runs, slots in pairs], words.mirrored):
        found.append(figures)
        print("  ".join(f"{name} {value:,.4g}" for name, value in figures.items()), flush=True)
    print(fleet.report(found[-1]["cpu_ms_per_run"] / 1000))
    print(json.dumps(found))


def _child(work: str, path: str, *rest: str) -> dict[str, float]:
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    if work == "mirror":
        return mirror(Path(path), int(rest[0]), int(rest[1]))
    runs, sampler, width, slots, tables = rest
    load = Load(runs=int(runs), sampler=sampler, width=int(width), slots=int(slots), tables=tables == "1")
    return drive(Path(path), load)


if __name__ == "__main__":
    main()
