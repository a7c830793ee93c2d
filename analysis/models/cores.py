"""How maps use the cores: one thread for linear algebra, and a second process beside this one.

Maps are made of thousands of products of small matrices, which more threads only make slower, and of drawing in Python,
whose lock threads would share. Without a second core, or outside of `second_process`, all is done here.
"""

from __future__ import annotations

import contextlib
import functools
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from joblib import cpu_count
from joblib.externals.loky import get_reusable_executor
from threadpoolctl import threadpool_limits

P = ParamSpec("P")
T = TypeVar("T")

IDLE_SECONDS = 20
"""How long the process waits for more work before it ends."""


@dataclass
class _Helper:
    pool: Executor
    ready: Callable[[], object] | None

    def submit(self, call: Callable[[], T]) -> Future[T]:
        # The process inherits the mask: Ctrl-C is for this one, which then ends that one.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            future = self.pool.submit(_on_one_thread, call)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if self.ready is not None:
            self.pool.submit(self.ready)
            self.ready = None
        return future


_helper: ContextVar[_Helper | None] = ContextVar("helper", default=None)


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Let linear algebra compute on one thread; the bits of a map then do not depend on the number of cores either."""
    with threadpool_limits(limits=1):
        yield


@contextlib.contextmanager
def second_process(ready: Callable[[], object]) -> Iterator[None]:
    """Let what `beside` is given inside the block be done by a process of its own.

    `ready` is what it does next after the first call: imports for later ones, while nothing else is to be done.
    """
    if cpu_count() < 2:
        yield
        return
    pool = get_reusable_executor(max_workers=1, timeout=IDLE_SECONDS)
    token = _helper.set(_Helper(pool, ready))
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, kill_workers=True)
        raise
    finally:
        _helper.reset(token)


def beside(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
    """Begin a call in the second process, and return what waits for its result; it raises what the call raised.

    Arguments and result are pickled; the call is made once. If the process is killed, the call is made here.
    """
    call = functools.partial(function, *args, **kwargs)
    here = functools.cache(call)
    helper = _helper.get()
    if helper is None:
        return here
    try:
        future = helper.submit(call)
    except BrokenProcessPool:
        return here

    def result() -> T:
        try:
            return future.result()
        except BrokenProcessPool:
            return here()

    return result


def _on_one_thread(call: Callable[[], T]) -> T:
    with single_threaded():
        return call()
