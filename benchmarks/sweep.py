"""The default sweep against plain Ray Tune, one trial per run, and what it spends on anything but training.

``python -m benchmarks.sweep [--runs N] [--sample N]`` runs the sweep of sweep.py with N runs, then a sample of the same
configurations as plain Tune trials: the plain PyTorch loop of benchmarks/plain.py, evaluated on the same clock and
stopped by the same rule, once with Tune's defaults (a process a trial) and once with ``reuse_actors=True``.

Two costs of a run are printed. Core-seconds: slots times wall time of the tuning loop, start-up of Ray apart, over
runs; it means what it says on a machine that does nothing else. Processor seconds: what all processes of the sweep
used, start-up apart, over runs; a process a trial hides there what its dead processes used. The share not spent
training counts as overhead all processor time outside of training, MLflow's writer included, and all time in which a
slot was idle.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import runpy
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from grokcore.records.regimes import REGIMES
from grokcore.run_config import RunConfig
from sweeps.progress import Watcher
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.run_store import read_records
from sweeps.whole_sweep import SweepOptions, run_sweep

SWEEP = Path(__file__).resolve().parents[1] / "sweep.py"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a number of runs cost."""

    runs: int
    """How many runs."""
    core_seconds: float
    """Slots times wall time."""
    cpu_seconds: float
    """Processor time of all processes."""

    @property
    def line(self) -> str:
        """Return both costs of one run."""
        return f"{self.core_seconds / self.runs:8.2f} {self.cpu_seconds / self.runs:8.2f}"


def tree_cpu() -> float:
    """Return the processor time of this process and all below it, with those that ended and were waited for."""
    total = 0.0
    this = psutil.Process()
    for process in (this, *this.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


class Meter(Watcher):
    """Measures processor time from the first report of training to the last."""

    first = last = 0.0

    def trained(self, work: Any, running: int) -> None:
        """Take the first reading."""
        super().trained(work, running)
        self.first = self.first or tree_cpu() - work.cpu_seconds

    def stop(self) -> None:
        """Take the last reading."""
        super().stop()
        self.last = self.last or tree_cpu()


def ours(spec: SweepSpec, results: Path) -> tuple[Cost, list[RunConfig]]:
    """Run the sweep, print where its time went, and return its cost and its configurations."""
    meter = Meter(spec=spec)
    result = run_sweep(spec, SweepOptions(results=results, mlflow=False, map=False), watcher=meter)
    mirror = _mirror_cpu(result.path)
    total = meter.last - meter.first + mirror
    idle = max(0.0, result.slots * result.train_seconds - result.busy_seconds)
    counts = ", ".join(f"{regime} {meter.regimes[regime]}" for regime in REGIMES)
    other = total - mirror - result.cpu_seconds
    print(f"{spec.runs} runs: {counts}; {result.run_steps / result.train_seconds:,.0f} run-steps/s")
    print(f"start-up {result.startup_seconds:.1f} s, then {result.train_seconds:.1f} s on {result.slots} slots")
    print(f"processor seconds: training {result.cpu_seconds:.1f}, Ray and driver {other:.1f}, MLflow {mirror:.1f}")
    print(f"idle slot-seconds: {idle:.1f}")
    print(f"share not spent training: {1 - result.cpu_seconds / (total + idle):.1%} (at most 10 % wanted)")
    cost = Cost(runs=spec.runs, core_seconds=result.slots * result.train_seconds, cpu_seconds=total)
    return cost, [record.config for record in read_records(result.path)]


def _mirror_cpu(path: Path) -> float:
    """Write the whole mirror in a process of its own and return the processor time it took, start-up apart."""
    code = "import sys, time; from pathlib import Path\n"
    code += "from sweeps.tracking.mlflow_mirror import Mirror, read_records\n"
    code += "mirror = Mirror(Path(sys.argv[1])); begun = time.process_time()\n"
    code += "mirror.write_all(read_records(mirror.path)); mirror.write_sweep()\n"
    code += "print(time.process_time() - begun)"
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
    return float(done.stdout)


def plain_run(config: dict[str, Any]) -> None:
    """Train one run the plain way, as a Tune trial."""
    import torch
    from ray import tune

    from benchmarks.plain import build
    from grokcore.engine.early_stopping import EarlyStopping
    from grokcore.engine.evaluation_schedule import evaluation_steps

    torch.set_num_threads(1)
    run = RunConfig.from_dict(config["run"])
    plain, rule = build(run), EarlyStopping()
    curves: dict[str, list[float]] = {}
    steps: list[int] = []
    marks = frozenset(evaluation_steps(run.steps))
    for step in range(run.steps + 1):
        if step:
            plain.step()
        if step in marks:
            steps.append(step)
            for name, value in plain.look().items():
                curves.setdefault(name, []).append(value)
            if rule.due(steps, curves["train_accuracy"], curves["val_accuracy"]):
                break
    tune.report({"steps": steps, "curves": curves})


def plain_tune(configs: list[RunConfig], *, reuse: bool, slots: int) -> Cost:
    """Run configurations as plain Tune trials and return their cost."""
    import ray
    from ray import tune

    ray.init(address="local", num_cpus=slots, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        before, begun = tree_cpu(), time.monotonic()
        grid = tune.Tuner(
            plain_run,
            param_space={"run": tune.grid_search([config.to_dict() for config in configs])},
            tune_config=tune.TuneConfig(reuse_actors=reuse),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()
        wall, cpu = time.monotonic() - begun, tree_cpu() - before
    ray.shutdown()
    if grid.num_errors:
        raise RuntimeError(f"{grid.num_errors} plain trials failed: {grid.errors[0]}")
    return Cost(runs=len(configs), core_seconds=slots * wall, cpu_seconds=cpu)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, help="runs of the sweep; the default sweep's if not given")
    parser.add_argument("--sample", type=int, default=16, help="runs of each plain Tune experiment")
    options = parser.parse_args()
    # The plain loop knows nothing of forecasts: what is compared takes all its steps.
    spec: SweepSpec = dataclasses.replace(runpy.run_path(str(SWEEP))["spec"], stopping="none")
    if options.runs:
        spec = dataclasses.replace(spec, runs=options.runs)
    os.environ.setdefault("RAY_ADDRESS", "local")
    with tempfile.TemporaryDirectory() as folder:
        cost, configs = ours(spec, Path(folder))
    every = max(1, len(configs) // options.sample)
    sample, slots = configs[::every][: options.sample], os.cpu_count() or 1
    fresh = plain_tune(sample, reuse=False, slots=slots)
    reused = plain_tune(sample, reuse=True, slots=slots)
    print(f"\n{'seconds a run':34}     core      cpu")
    costs = {"Grokmap": cost, "plain Tune, a process a trial": fresh, "plain Tune, actors reused": reused}
    for name, one in costs.items():
        print(f"{name:34} {one.line}")
    for name, one, wanted in (("a process a trial", fresh, 10), ("actors reused", reused, 3)):
        core = one.core_seconds / one.runs / (cost.core_seconds / cost.runs)
        cpu = one.cpu_seconds / one.runs / (cost.cpu_seconds / cost.runs)
        print(f"cheaper than with {name}: {core:.1f}× core-seconds, {cpu:.1f}× cpu (at least {wanted}× wanted)")


if __name__ == "__main__":
    main()
