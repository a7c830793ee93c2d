"""Memory that was freed stays with the process: the pages of new memory cost more than the operation that fills them.

The C library gives blocks of some hundred kilobytes back to the system as soon as they are freed, and every step of a
network asks for the same ones anew, whose pages the system hands out and clears one by one.
"""

from __future__ import annotations

import ctypes
import functools
import os

LARGEST_KEPT = 32 << 20
"""Bytes of the largest block that is kept, and the most that glibc allows: an activation, not a table of examples."""
MOST_KEPT = 128 << 20
"""Free bytes at the end of the heap beyond which they are given back."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""glibc's numbers of these parameters (malloc.h)."""


@functools.cache
def keep_freed_memory() -> bool:
    """Tell the C library, once for the process, to keep what is freed; return whether it heeds that.

    Only glibc can be told. A user who set ``MALLOC_TRIM_THRESHOLD_`` or ``MALLOC_MMAP_THRESHOLD_`` has decided already.
    """
    if {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & os.environ.keys():
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, LARGEST_KEPT) and mallopt(_TRIM_THRESHOLD, MOST_KEPT))
