"""The environment a run was made in: what a record says about versions, processor, threads, device and precision."""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch


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


def describe(device: str, dtype: str) -> dict[str, Any]:
    """Return what may change a run's last bits: versions, processor, threads, device, precision."""
    from grokcore.products import library
    from grokcore.version import VERSION

    return {
        "grokmap": VERSION,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "processor": torch.cuda.get_device_name(device) if device.startswith("cuda") else processor(),
        "capability": "cuda" if device.startswith("cuda") else torch.backends.cpu.get_cpu_capability(),
        "products": library() if device == "cpu" else "",
        "mkl_cbwr": os.environ.get("MKL_CBWR", ""),
        "threads": torch.get_num_threads(),
        "device": device,
        "dtype": dtype,
    }
