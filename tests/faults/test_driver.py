"""The process that runs a sweep is killed, or interrupted: the same command goes on, and the runs are the same runs."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from grokcore.records.regimes import RegimeRule
from sweeps.spec.space import Choice, Range
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.run_store import read_records, record_ids

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SPEC = SweepSpec(
    name="faulty",
    run={
        "task": {"name": "modular_addition", "modulus": 13},
        "model": {"name": "mlp", "width": 16},
        "optimizer": {"name": "adamw", "betas": [0.9, 0.98]},
        "steps": 4000,
    },
    space={
        "fraction": Range(low=0.3, high=0.9),
        "decay": Range(low=0.01, high=3, log=True),
        "rate": Range(low=1e-3, high=0.1, log=True),
        "seed": Choice(values=(0, 1)),
    },
    rule=RegimeRule(budget=4000, ratio=5.0),
    runs=24,
    width=2,
    retire=False,
    checkpoint_seconds=0.5,
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "spec.toml").write_text(SPEC.to_toml(), encoding="utf-8")
    return tmp_path


def start(folder, *options):
    """Start the sweep as a user would, in a session of its own as a terminal gives."""
    command = [sys.executable, "-m", "sweeps.cli", "sweep", "spec.toml", "--no-map", "--no-mlflow", *options]
    environment = os.environ | {"RAY_ADDRESS": "local"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **pipes)


def finished(folder):
    return list(record_ids(folder / "results" / SPEC.name))


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(0.1)


def alive(processes):
    """Return those that run; one that has died and waits for its parent to notice does not."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end(process, below):
    """Kill what the test started, should it still be there."""
    for victim in (process, *alive(below)):
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            victim.kill()
    process.communicate()


def assert_complete(folder, undisturbed=None):
    ids = finished(folder)
    assert len(ids) == len(set(ids)) == SPEC.runs
    if undisturbed is not None:
        records = {record.run_id: record for record in read_records(folder / "results" / SPEC.name)}
        for record in undisturbed:
            other = records[record.run_id]
            assert all(np.array_equal(record.columns[n], other.columns[n], equal_nan=True) for n in record.columns)


def test_a_driver_killed_by_signal_9_is_gone_on_from_by_the_same_command(folder):
    process = start(folder)
    below = []
    try:
        wait_for(lambda: len(finished(folder)) >= 4, 120, "the fourth run")
        below = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        kept = finished(folder)
        assert 4 <= len(kept) < SPEC.runs
        # Ray's processes die with the driver that started them, but for two small agents (ended below).
        wait_for(lambda: not [p for p in alive(below) if "Agent" not in p.name()], 60, "the end of Ray")
        again = start(folder)
        output, _ = again.communicate(timeout=300)
        assert again.returncode == 0, output
        assert finished(folder)[: len(kept)] == kept
        import grokcore

        records = list(read_records(folder / "results" / SPEC.name))
        assert_complete(folder, grokcore.train([record.config for record in records]))
    finally:
        end(process, below)


def test_ctrl_c_stops_within_seconds_says_how_to_go_on_and_loses_nothing(folder):
    process = start(folder)
    try:
        wait_for(lambda: len(finished(folder)) >= 2, 120, "the second run")
        pressed = time.monotonic()
        # A terminal sends the signal to every process of the foreground, Ray's among them.
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        assert time.monotonic() - pressed < 20
        assert process.returncode == 130, output
        assert "The same command goes on" in output
        assert "sweep spec.toml" in output
        assert "Traceback" not in output
        kept = finished(folder)
        again = start(folder)
        output, _ = again.communicate(timeout=300)
        assert again.returncode == 0, output
        assert finished(folder)[: len(kept)] == kept
        assert_complete(folder)
    finally:
        end(process, [])
