"""What the watch over Ray does: raises in the main thread what was lost, and ends a process that cannot hear of it."""

import socket
import subprocess
import sys
import time

import pytest

from grokcore.errors import ConfigError
from sweeps.execution import ray_watch
from sweeps.execution.ray_watch import EXIT_CODE, RayLostError, RayWatch


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(ray_watch, "LOOK_SECONDS", 0.02)


@pytest.fixture
def cluster(monkeypatch):
    """Return the head of a cluster, which answers until it is closed."""
    with socket.create_server(("127.0.0.1", 0)) as head:
        monkeypatch.setattr(ray_watch, "silence", lambda _: "" if head.fileno() >= 0 else "refused")
        monkeypatch.setattr(ray_watch, "_addresses", lambda: ["10.0.0.1:6379"])
        monkeypatch.setattr(ray_watch.ray, "nodes", list)
        yield head


def sleep_under(watch):
    with watch.over():
        time.sleep(30)


def test_a_head_that_dies_is_noticed_and_one_that_lives_is_left(cluster):
    watch = RayWatch(embedded=False, newcomers=lambda _: None)
    with watch.over():
        time.sleep(0.3)
    begun = time.monotonic()
    cluster.close()
    with pytest.raises(RayLostError, match=r"no longer answers at 10\.0\.0\.1:6379"):
        sleep_under(RayWatch(embedded=False, newcomers=lambda _: None))
    assert time.monotonic() - begun < 10


@pytest.mark.usefixtures("cluster")
def test_a_host_that_joins_later_is_checked_as_the_first_ones_were(monkeypatch):
    monkeypatch.setattr(ray_watch.ray, "nodes", lambda: ["late"])

    def refuse(nodes):
        raise ConfigError([f"{nodes[0]} has another torch."])

    with pytest.raises(ConfigError, match="late has another torch"):
        sleep_under(RayWatch(embedded=False, newcomers=refuse))


@pytest.mark.usefixtures("cluster")
def test_an_error_of_the_work_itself_is_raised_as_it_is():
    with pytest.raises(ZeroDivisionError), RayWatch(embedded=False, newcomers=lambda _: None).over():
        _ = 1 / 0


def test_a_main_thread_that_cannot_hear_ends_with_a_sentence_and_a_code():
    """As in a call of Ray's own code that blocks signals."""
    code = (
        "import signal, time, threading; from sweeps.execution import ray_watch as w;"
        "w.LOOK_SECONDS = .02; w.REACT_SECONDS = .2; w.silence = lambda _: 'refused';"
        "w._addresses = lambda: ['10.0.0.1:6379'];"
        "watch = w.RayWatch(embedded=False, newcomers=lambda _: None);"
        "watch._raise = lambda *_: None\n"
        "with watch.over(): time.sleep(60)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == EXIT_CODE
    assert "no longer answers at 10.0.0.1:6379" in done.stderr
    assert done.stderr.rstrip().endswith("Finished runs are kept; the same command goes on.")
