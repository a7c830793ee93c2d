"""A whole sweep through a local Ray: every run once in Optuna, MLflow and Parquet, bit for bit the run it is alone."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from optuna.trial import TrialState

import grokcore
from grokcore.config import folders
from grokcore.engine.early_stopping import EarlyStopping
from grokcore.errors import ConfigError
from sweeps.execution import preflight, ray_session
from sweeps.finished_runs.reproduce import reproduce
from sweeps.progress import Watcher
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.run_store import read_records
from sweeps.store.storage import Marker
from sweeps.whole_sweep import SweepOptions, run_sweep

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.usefixtures("two_workers"),
    # MLflow's own queries, under SQLAlchemy 2.1.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
    # Ray opens sockets and processes that it leaves to the end of the process.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore::UserWarning:ray"),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
]


@pytest.fixture(scope="module")
def two_workers():
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    yield
    ray.shutdown()


def same_curves(first, second):
    return first.columns.keys() == second.columns.keys() and all(
        np.array_equal(first.columns[name], second.columns[name], equal_nan=True) for name in first.columns
    )


def workers():
    """Return the processes below this one that train cohorts now."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            title = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if title.startswith("ray::") and "Trainable" in title:
            found.append(process)
    return found


def mlflow_runs(path):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{path.parent / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(path.name)
    return client.search_runs([experiment.experiment_id], max_results=1000)


def assert_all_there_once(result, spec):
    assert result.complete
    ids = sorted(result.runs["run_id"])
    assert len(ids) == len(set(ids)) == spec.runs
    assert sorted(trial.user_attrs["run_id"] for trial in result.study.trials) == ids
    assert {trial.state for trial in result.study.trials} == {TrialState.COMPLETE}
    assert sorted(pd.read_parquet(result.path / "runs.parquet")["run_id"]) == ids
    assert sorted(record.run_id for record in read_records(result.path)) == ids


def test_a_sweep_leaves_every_run_once_everywhere_and_as_it_is_alone(spec, tmp_path):
    result = run_sweep(spec, SweepOptions(results=tmp_path, map=False))
    assert_all_there_once(result, spec)
    runs = mlflow_runs(result.path)
    trained = [run for run in runs if run.data.tags["kind"] == "run"]
    assert sorted(run.data.tags["run_id"] for run in trained) == sorted(result.runs["run_id"])
    assert {run.info.status for run in runs} == {"FINISHED"}
    records = list(read_records(result.path))
    alone = grokcore.train([record.config for record in records], retire=EarlyStopping())
    assert all(same_curves(record, other) for record, other in zip(records, alone, strict=True))


INTERVAL = 0.5
"""Seconds between the checkpoints of the sweep whose worker is killed."""


class Killer(Watcher):
    """Kills one worker by signal 9 after some intervals; knows the fastest that a worker was and all that was done."""

    killed = 0
    fastest = 0.0
    notes: list[str]

    def trained(self, work, running):
        super().trained(work, running)
        self.fastest = max(self.fastest, work.run_steps / work.train_seconds)
        if not self.killed and self.seconds > 2 * INTERVAL and running:
            victims = workers()
            assert victims, "no worker was found to kill"
            self.killed = victims[0].pid
            os.kill(self.killed, signal.SIGKILL)

    def note(self, text):
        self.notes = [*getattr(self, "notes", []), text]


@pytest.mark.parametrize("scheme", [None, "file://"], ids=["over Ray", "in a bucket"])
def test_a_worker_killed_by_signal_9_costs_at_most_an_interval_and_changes_no_bit(spec, changed, tmp_path, scheme):
    steps = 4000
    longer = changed(
        spec,
        run={**spec.run, "task": {"name": "modular_addition", "modulus": 23}, "steps": steps},
        rule=changed(spec.rule, budget=steps),
        retire=False,
        runs=8,
        checkpoint_seconds=INTERVAL,
        storage=None if scheme is None else f"{scheme}{tmp_path}/shared",
    )
    watcher = Killer(spec=longer)
    result = run_sweep(longer, SweepOptions(results=tmp_path, map=False, mlflow=False), watcher=watcher)
    assert watcher.killed
    assert any("its worker died" in note for note in watcher.notes)
    assert_all_there_once(result, longer)
    # What was reported twice is what the worker had done since its last checkpoint.
    again = result.run_steps - 8 * steps
    assert 0 <= again <= INTERVAL * watcher.fastest
    records = list(read_records(result.path))
    alone = grokcore.train([record.config for record in records[:2]])
    assert all(same_curves(record, other) for record, other in zip(records, alone, strict=False))
    there = tmp_path / "shared" / spec.name if scheme is not None else result.path
    assert list((there / "checkpoints").iterdir()) == []
    assert {"runs.parquet", "records.jsonl", "spec.toml"} <= {path.name for path in there.iterdir()}


class Elsewhere(Marker):
    """Stands for a folder that is not mounted on the other hosts: what the driver wrote is not there."""

    def __init__(self, storage):
        super().__init__(storage)
        self.remove()


def test_hosts_of_different_versions_and_storage_that_they_cannot_see_are_found_before_work_starts(
    spec, changed, tmp_path, monkeypatch
):
    shared = changed(spec, storage=str(tmp_path / "shared"))
    here = preflight.versions() | {"torch": "0.1", "Python": "3.8"}
    monkeypatch.setattr(preflight, "versions", lambda: here)
    monkeypatch.setattr(preflight, "Marker", Elsewhere)
    with pytest.raises(ConfigError) as caught:
        run_sweep(shared, SweepOptions(results=tmp_path, map=False, mlflow=False))
    python, torch, storage = caught.value.complaints
    assert python.startswith("Python is 3.8 on this host, but ")
    assert torch.startswith("torch is 0.1 on this host, but ")
    assert "ray up -y cluster.yaml" in torch
    assert "cannot be used on every host" in storage
    assert "leave storage out" in storage
    assert (tmp_path / spec.name / "asked.jsonl").read_text() == ""


def test_a_sweep_that_is_complete_is_read_not_run_again(spec, changed, tmp_path):
    small = changed(spec, runs=4)
    options = SweepOptions(results=tmp_path, map=False, mlflow=False)
    first = run_sweep(small, options)
    before = (first.path / "records.jsonl").read_bytes()
    again = run_sweep(small, options)
    assert_all_there_once(again, small)
    assert again.run_steps == 0
    assert (first.path / "records.jsonl").read_bytes() == before
    code = f"""
import dataclasses, sys
from pathlib import Path
from sweeps import SweepSpec
from sweeps.whole_sweep import SweepOptions, run_sweep
spec = SweepSpec.from_toml(Path({str(first.path / "spec.toml")!r}))
assert run_sweep(spec, SweepOptions(results=Path({str(tmp_path)!r}), map=False, mlflow=False)).complete
assert dataclasses.replace(spec, stopping="hazard") != spec
slow = {{"torch", "mlflow", "pandas", "ray"}} & set(sys.modules)
assert not slow, slow
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr


COMPONENTS = Path(__file__).parents[1] / "contracts" / "components"


def test_a_sweep_of_ones_own_task_and_sampler_trains_on_workers_that_get_the_files(tmp_path):
    # The folder is gone before any worker starts: they have what the sweep sent.
    folder = tmp_path / "my_parts"
    shutil.copytree(COMPONENTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "spec.toml").write_text(
        """
name = "owned"
runs = 8
width = 2
sampler = "corners"
components = "my_parts"
measures = "largest_weight"
[run]
steps = 30
task = { name = "modular_maximum", modulus = 5 }
model = "bilinear"
optimizer = "signed"
[space]
fraction = { low = 0.3, high = 0.8 }
rate = { low = 0.001, high = 0.1, log = true }
seed = [0, 1, 2]
[rule]
budget = 30
ratio = 5
"""
    )
    with folders.folders_kept():
        own = SweepSpec.from_toml(tmp_path / "spec.toml")
        result = run_sweep(own, SweepOptions(results=tmp_path, map=False, mlflow=False))
        assert result.complete
        assert set(result.runs["task.name"]) == {"modular_maximum"}
        assert set(result.runs["fraction"]) <= {0.3, 0.8}
        assert result.runs["largest_weight"].notna().all()
        assert (result.path / "components" / "tasks" / "modular_maximum.py").is_file()
    shutil.rmtree(folder)
    with folders.folders_kept():
        folders._use([])
        # Gone on with from what it keeps, in a process that never saw the folder, and extended.
        again = dataclasses.replace(SweepSpec.from_toml(result.path / "spec.toml"), runs=12)
        longer = run_sweep(again, SweepOptions(results=tmp_path, map=False, mlflow=False))
        assert longer.complete
        assert len(longer.study.trials) == 12
        (found,) = reproduce("owned", tmp_path, 1)
        assert found.apart is None


def test_a_sweep_that_is_complete_takes_another_rule_without_ray(spec, changed, tmp_path, monkeypatch):
    small = changed(spec, runs=4)
    options = SweepOptions(results=tmp_path, map=False, mlflow=False)
    run_sweep(small, options)
    monkeypatch.setattr(ray_session, "RaySession", None)
    other = changed(small, rule=changed(small.rule, budget=2))
    result = run_sweep(other, options)
    assert result.complete
    assert set(result.runs["regime"]) <= {"confusion", "memorization", "comprehension"}
    assert SweepSpec.from_toml(result.path / "spec.toml").rule.budget == 2
    before = (result.path / "runs.parquet").stat().st_mtime_ns
    run_sweep(other, options)
    assert (result.path / "runs.parquet").stat().st_mtime_ns == before
