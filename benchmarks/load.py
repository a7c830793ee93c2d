"""Load: what one driver sustains, with synthetic cohorts in place of training.

``python -m benchmarks.load`` drives a real `Driver` (Optuna study and store of records on disk) with runs that cost
nothing, at 1k, 10k and 100k finished runs, then writes the tables, then mirrors a sample of the runs in MLflow.
Only the driver's own work is timed: what workers would do (making records, encoding them) is done off the clock.

    python -m benchmarks.load                     1k, 10k and 100k runs (20 minutes, 15 GB of disk)
    python -m benchmarks.load --runs 1000 10000   up to 10k only
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from grokcore.engine.evaluation_schedule import evaluation_steps, measure_steps
from grokcore.engine.grouping import cohort_key
from grokcore.records.regimes import RegimeRule
from grokcore.records.run_record import Outcome, RunRecord
from grokcore.run_config import RunConfig
from sweeps.driver import CohortTask, Driver
from sweeps.spec.space import Choice, Range
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.run_store import Store, write_tables

BUDGET = 5000
"""Steps of a synthetic run."""
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
        rule=RegimeRule(threshold=0.9, budget=BUDGET, ratio=5.0),
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


def pretended_lines(task: CohortTask, rng: np.random.Generator, curves: list[str]) -> list[str]:
    """Return the lines that workers would send for a cohort; after the first hundred the curves are used again."""
    lines = []
    for config in task.configs:
        if len(curves) < CURVES:
            whole = pretended(config, rng).to_json()
            curves.append(whole.partition(MARK)[2])
        empty = RunRecord(config=config, outcome=Outcome.FINISHED, columns={"step": np.array([], dtype=np.int64)})
        lines.append(empty.to_json().partition(MARK)[0] + MARK + curves[int(rng.integers(len(curves)))])
    return lines


def peak_memory() -> float:
    """Return the most memory this process has had, in bytes."""
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def drive(folder: Path, runs: int, sampler: str, width: int, *, tables: bool = True) -> dict[str, float]:
    """Run a whole sweep of pretended cohorts; return rates, the last runs' cost, memory and sizes."""
    rng = np.random.default_rng(0)
    costs: list[float] = []
    cpu_costs: list[float] = []
    curves: list[str] = []
    cohorts, base = 0, peak_memory()
    with Store(spec(runs, sampler), folder) as store:
        driver = Driver(store, key=cohort_key, width=lambda _: width, slots=lambda: 64)
        while not driver.finished:
            begun, busy = time.perf_counter(), time.process_time()
            task = driver.next_cohort()
            spent, worked = time.perf_counter() - begun, time.process_time() - busy
            if task is None:
                raise RuntimeError("the driver has neither finished nor a cohort to hand out")
            lines = pretended_lines(task, rng, curves)
            begun, busy = time.perf_counter(), time.process_time()
            driver.receive(RunRecord.from_json(line) for line in lines)
            driver.ended(task.name)
            spent, worked = spent + time.perf_counter() - begun, worked + time.process_time() - busy
            cpu_costs += [worked / len(lines)] * len(lines)
            costs += [spent / len(lines)] * len(lines)
            cohorts += 1
        path = store.path
        memory = peak_memory()
    total = sum(costs)
    found = {
        "runs": runs,
        "runs_per_second": runs / total,
        "cohorts_per_second": cohorts / total,
        "cpu_ms_per_run": 1000 * sum(cpu_costs) / runs,
        "last_cpu_ms_per_run": 1000 * float(np.mean(cpu_costs[-WINDOW:])),
        "driver_mb": memory / 1e6,
        "driver_growth_mb": (memory - base) / 1e6,
        "store_mb": (path / "records.jsonl").stat().st_size / 1e6,
    }
    return found | _aftermath(folder, runs, sampler, width) if tables else found


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


def measure(
    sizes: Sequence[int], sampler: str, width: int, mirrored: int, *, tables: bool
) -> Iterator[dict[str, float]]:
    """Yield the figures of each size of sweep, smallest first; MLflow is measured at each as well."""
    for runs in sizes:
        folder = Path(tempfile.mkdtemp(prefix="grokmap-load-"))
        try:
            found = _apart("drive", folder, runs, sampler, width, int(tables))
            if mirrored:
                found |= _apart("mirror", folder / f"load-{runs}", mirrored, runs)
            yield found
        finally:
            shutil.rmtree(folder)


def main() -> None:
    """Measure and print one line a size, as JSON at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--sampler", default="sobol")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--mirrored", type=int, default=200)
    parser.add_argument("--no-tables", action="store_true", help="leave out the tables and the restart")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.child:
        work, path, *rest = words.child
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        if work == "drive":
            print(json.dumps(drive(Path(path), int(rest[0]), rest[1], int(rest[2]), tables=rest[3] == "1")))
        else:
            print(json.dumps(mirror(Path(path), int(rest[0]), int(rest[1]))))
        return
    print(f"sampler {words.sampler}, cohorts of {words.width}, {os.cpu_count()} cores")
    found = []
    for figures in measure(words.runs, words.sampler, words.width, words.mirrored, tables=not words.no_tables):
        found.append(figures)
        print("  ".join(f"{name} {value:,.4g}" for name, value in figures.items()), flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
