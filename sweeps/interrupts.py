"""Interrupts that wait: what an interrupt would leave half done, and broken for the rest of the process."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Hold Ctrl-C back until the block is over: a library whose import was cut off cannot be imported again."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        # Whoever handles interrupts, or has them ignored, is asked now.
        signal.raise_signal(signal.SIGINT)
