"""The processor: what it says of itself, and how many threads compute on it."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

from grokcore.lazy_torch import torch


def processor() -> str:
    """Return the name of the CPU."""
    return _fact("model name") or platform.processor() or platform.machine()


def vendor() -> str:
    """Return who makes the CPU, as it says itself ("GenuineIntel", "AuthenticAMD"); "" if the system does not tell."""
    return _fact("vendor_id")


@functools.cache
def _fact(name: str) -> str:
    """Return what the system says of its first CPU."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(name):
                return line.partition(":")[2].strip()
    return ""


def pin_threads(count: int) -> int:
    """Let torch compute on `count` threads from now on; return how many it used before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    return before
