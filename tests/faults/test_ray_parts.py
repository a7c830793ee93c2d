"""A part of Ray is killed under a sweep: the sweep notices within seconds and goes on, or ends with a sentence."""

import contextlib
import time
from dataclasses import replace

import psutil
import pytest

from grokcore.records.regimes import RegimeRule
from sweeps.execution.ray_watch import EXIT_CODE
from tests.faults.test_driver import SPEC, assert_complete, end, finished, folder, start, wait_for

__all__ = ["folder"]

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def part(process, word):
    """Return the process of Ray's below `process` whose command begins with words that hold `word`."""
    for found in psutil.Process(process.pid).children(recursive=True):
        if word in found.name() or word in " ".join(found.cmdline()[:12]):
            return found
    raise AssertionError(f"no process called {word}")


@pytest.mark.parametrize("word", ["raylet", "RuntimeEnvAgent", "DashboardAgent"])
def test_an_embedded_ray_that_loses_a_part_is_started_again_or_the_sweep_ends_with_a_sentence(folder, word):
    """Which of the two depends on what Ray was asked at that moment: some of its calls never return."""
    process = start(folder)
    try:
        wait_for(lambda: len(finished(folder)) >= 2, 180, "the second run")
        part(process, word).kill()
        killed = time.monotonic()
        output, _ = process.communicate(timeout=400)
        assert "the embedded Ray lost its raylet." in output
        assert "Traceback" not in output
        if process.returncode == EXIT_CODE:
            assert time.monotonic() - killed < 45  # of which the raylet may take some to end itself without its agent
            assert output.rstrip().endswith("Finished runs are kept; the same command goes on.")
            process = start(folder)
            output, _ = process.communicate(timeout=400)
        else:
            assert "It is started again" in output
        assert process.returncode == 0, output
        assert_complete(folder)
    finally:
        end(process, [])


def test_a_sweep_whose_ray_lost_its_control_store_ends_with_a_sentence_and_the_same_command_goes_on(folder):
    process = start(folder)
    try:
        wait_for(lambda: len(finished(folder)) >= 2, 180, "the second run")
        part(process, "gcs_server").kill()
        killed = time.monotonic()
        output, _ = process.communicate(timeout=60)
        assert time.monotonic() - killed < 30
        assert process.returncode == EXIT_CODE, output
        assert output.rstrip().endswith("Finished runs are kept; the same command goes on.")
        kept = finished(folder)
        again = start(folder)
        output, _ = again.communicate(timeout=400)
        assert again.returncode == 0, output
        assert finished(folder)[: len(kept)] == kept
        assert_complete(folder)
    finally:
        end(process, [])


def test_workers_that_are_killed_every_few_seconds_still_make_progress(folder):
    """Each is killed as soon as it has trained for a moment, while runs take longer than any of them lives."""
    longer = {**SPEC.run, "steps": 16000}
    (folder / "spec.toml").write_text(replace(SPEC, run=longer, rule=RegimeRule(budget=16000, ratio=5.0)).to_toml())
    process = start(folder)
    try:
        wait_for(lambda: len(finished(folder)) >= 1, 180, "the first run")
        deadline, kills, born = time.monotonic() + 40, 0, {}
        while time.monotonic() < deadline and process.poll() is None:
            for worker in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    ours = "Trainable" in " ".join(worker.cmdline()[:2])
                    if ours and time.monotonic() - born.setdefault(worker.pid, time.monotonic()) > 4:
                        worker.kill()
                        kills += 1
            time.sleep(0.3)
        after = len(finished(folder))
        output, _ = process.communicate(timeout=400)
        assert process.returncode == 0, output
        assert kills >= 3
        assert after >= 2
        assert_complete(folder)
    finally:
        end(process, [])
