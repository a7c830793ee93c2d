"""A second process does the same as this one, once, and its death or absence changes nothing but the time."""

import os
import signal

import numpy as np
import pytest

from analysis.models.cores import beside, second_process


def where(power):
    return os.getpid(), np.arange(3.0) ** power


def dies_elsewhere(parent):
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return "here"


def complains():
    raise OSError(28, "No space left on device", "map.png")


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")


@pytest.mark.usefixtures("two_cores")
def test_a_call_is_made_by_another_process_and_its_error_is_raised_here():
    with second_process(os.getpid):
        first, second = beside(where, 2), beside(complains)
        process, values = first()
        assert process != os.getpid()
        assert values.tolist() == [0.0, 1.0, 4.0]
        with pytest.raises(OSError, match="No space left on device"):
            second()


@pytest.mark.usefixtures("two_cores")
def test_if_the_process_is_killed_the_call_is_made_here():
    with second_process(os.getpid):
        killed = beside(dies_elsewhere, os.getpid())
        after = beside(where, 2)
        assert killed() == "here"
        assert after()[1].tolist() == [0.0, 1.0, 4.0]
        assert beside(where, 1)()[1].tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("cores", ["1", "2"])
def test_without_a_second_core_or_outside_the_block_the_call_is_made_here_once(cores, monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", cores)
    made = []
    later = beside(made.append, 1)
    assert made == []
    later()
    later()
    assert made == [1]
    if cores == "1":
        with second_process(os.getpid):
            assert beside(where, 2)()[0] == os.getpid()
