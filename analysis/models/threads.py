"""Threads: maps are made of thousands of products of small matrices, which more threads only make slower."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from threadpoolctl import threadpool_limits


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Let linear algebra compute on one thread; the bits of a map then do not depend on the number of cores either."""
    with threadpool_limits(limits=1):
        yield
