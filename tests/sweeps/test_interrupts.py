"""An interrupt that comes while a library is imported waits until it is whole."""

import signal

import pytest

from sweeps.interrupts import held_back


@pytest.fixture(autouse=True)
def heard():
    """Have interrupts raised: a shell that runs tests in the background has its children ignore them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_waits_until_the_block_is_over_and_then_is_one():
    done = []

    def interrupted():
        with held_back():
            signal.raise_signal(signal.SIGINT)
            done.append("all of it")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == ["all of it"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_an_error_in_the_block_is_told_before_the_interrupt():
    def failing():
        with held_back():
            signal.raise_signal(signal.SIGINT)
            raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        failing()


def test_an_interrupt_that_is_ignored_stays_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with held_back():
        signal.raise_signal(signal.SIGINT)
