"""The CPU: one core, one thread, sizes that stay in its cache."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from grokcore.engine.devices.base import Device
from grokcore.lazy_torch import torch
from grokcore.numerics.kept_memory import keep_freed_memory
from grokcore.numerics.loops import loops_for
from grokcore.numerics.matmul import matmul_library
from grokcore.numerics.processor import processor
from grokcore.run_config import RunConfig

_log = logging.getLogger("grokcore")

_COMPUTING = threading.RLock()
"""Held while a thread computes: the number of threads and the treatment of subnormals are the whole process's."""

CBWR = {1: "off", 2: "AUTO"}
"""MKL's modes of reproducibility as it numbers them; those not named here ask for certain instructions."""


class Cpu(Device):
    """One core of the processor."""

    kind: ClassVar[str] = "cpu"
    widths: ClassVar[tuple[int, ...]] = (1, 2, 4, 8, 16)
    """Stacking saves small operations' overhead until the cache is full."""
    slow_step: ClassVar[float] = 0.01
    piece_elements: ClassVar[int | None] = 1 << 15
    """With their gradient and two moments 512 kB, a quarter of a core's cache."""
    chunk_elements: ClassVar[int | None] = 1 << 18
    """1 MB of float32, about a core's cache."""
    measured_elements: ClassVar[int] = 1 << 18
    """2 MB of float64, what a core's cache holds."""
    layouts: ClassVar[tuple[str, ...]] = ("bucketed",)
    captures: ClassVar[bool] = False
    may_run_out: ClassVar[bool] = False
    memory_share: ClassVar[float] = 0.5
    """Predictions are good to a factor of about two."""

    @contextlib.contextmanager
    def computing(self, dtype: str = "float32") -> Iterator[None]:  # noqa: ARG002
        """Compute on one thread with subnormal numbers flushed to zero; restore the threads after.

        The number of threads changes last bits. Subnormals (below 1e-38, in the moments of a run that has fitted, or
        in the softmax of a certain example) make a processor up to 100 times slower and nothing more exact. Both are
        settings of the process: a second thread that wants to compute waits for the first. Freed memory is kept from
        then on, which is one too.
        """
        keep_freed_memory()
        with _COMPUTING:
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            torch.set_flush_denormal(True)
            try:
                yield
            finally:
                torch.set_flush_denormal(False)
                torch.set_num_threads(threads)

    def free_bytes(self) -> int:
        """Return what the system, or the control group of this process, has left."""
        meminfo = Path("/proc/meminfo")
        if not meminfo.exists():
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        facts = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
        free = int(facts["MemAvailable"].split()[0]) * 1024
        limit, used = (_group(name) for name in ("memory.max", "memory.current"))
        return free if limit is None or used is None else min(free, max(0, limit - used))

    def facts(self) -> dict[str, Any]:
        """Return processor, instructions, the library of large products, who computes loops, and what MKL promises."""
        return {
            "processor": processor(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "matmul": matmul_library(),
            "loops": loops_for(),
            "mkl_cbwr": mkl_mode(),
            "threads": torch.get_num_threads(),
        }

    def seconds(self) -> float:
        """Return this thread's own time, which does not count what other processes had of the core."""
        return time.thread_time()

    def complaints(self, config: RunConfig) -> Iterator[str]:
        """Yield that there are no tensor cores."""
        if config.dtype == "tf32":
            yield 'dtype = "tf32": is a precision of GPUs; take "float32" on a CPU, or device = "cuda".'


@functools.cache
def mkl_mode() -> str:
    """Return the mode of reproducibility that MKL is really in, "" where torch has no MKL that could be asked.

    The variable MKL_CBWR counts only if it was set before MKL's first product; says so in the log if it was not.
    """
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        mode = int(library.mkl_serv_cbwr_get(-1))
    except (OSError, AttributeError):
        return ""
    name = CBWR.get(mode, os.environ.get("MKL_CBWR", str(mode)))
    if name == "off":
        _log.warning(
            "torch multiplied matrices before grokcore was imported, so that MKL_CBWR has no effect: on some "
            "processors a run's last bits now depend on where its matrices lie. Import grokcore first."
        )
    return name


def _group(name: str) -> int | None:
    """Return a number of the control group that this process is in, or None if it has no say."""
    try:
        text = Path("/sys/fs/cgroup", name).read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
