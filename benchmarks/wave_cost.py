"""What choosing a wave costs beside the runs it chooses: ``python -m benchmarks.wave_cost``.

Runs the default sweep (sweep.py) with the boundary sampler, in a temporary folder and without MLflow. For each hand-out
of a cohort that took more than a tenth of a second it prints what the driver's thread took (refitting the map,
choosing, what the map expects of runs that begin) beside the processor time of the runs that ended until the next one.
"""

from __future__ import annotations

import argparse
import dataclasses
import runpy
import tempfile
import time
from pathlib import Path
from typing import Any, Final
from unittest import mock

from sweeps.driver import Driver
from sweeps.progress import Watcher
from sweeps.whole_sweep import SweepOptions, run_sweep

SWEEP: Final = Path(__file__).parents[1] / "sweep.py"
LEAST: Final = 0.1
"""Seconds below which a hand-out asked nobody."""


def main() -> None:
    """Run the sweep and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=128)
    parser.add_argument(
        "--modulus", type=int, help="of the task, where runs are to take longer; the sweep's own if not given"
    )
    parser.add_argument("--stopping", default="hazard", help="none or hazard (default)")
    given = parser.parse_args()
    spec = runpy.run_path(str(SWEEP))["spec"]
    task = spec.run["task"] | ({} if given.modulus is None else {"modulus": given.modulus})
    spec = dataclasses.replace(
        spec,
        run={**spec.run, "task": task},
        runs=given.runs,
        sampler="boundary",
        sampler_options={},
        stopping=given.stopping,
        stopping_options={},
    )
    watcher, handing = Watcher(spec=spec), Driver.next_cohort
    waves: list[tuple[float, float]] = []
    others = 0.0

    def timed(driver: Driver) -> Any:
        nonlocal others
        begun = time.thread_time()
        task = handing(driver)
        took = time.thread_time() - begun
        if took > LEAST:
            waves.append((took, watcher.cpu_seconds))
        else:
            others += took
        return task

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(Driver, "next_cohort", timed):
        result = run_sweep(spec, SweepOptions(results=Path(folder), mlflow=False, map=False), watcher=watcher)
    ends = [*(before for _, before in waves[1:]), result.cpu_seconds]
    print(f"{'choosing, s':>12}{'runs after it, processor s':>28}{'share':>8}")
    for (took, before), end in zip(waves, ends, strict=True):
        print(f"{took:>12.2f}{end - before:>28.1f}{took / max(end - before, 1e-9):>8.1%}")
    spent = sum(took for took, _ in waves)
    whole = result.cpu_seconds
    print(
        f"all: {spent:.1f} s, and {others:.1f} s of other hand-outs, beside {whole:.1f} s of runs: "
        f"{(spent + others) / whole:.1%}"
    )


if __name__ == "__main__":
    main()
