"""Freed memory: a step asks the system for no new pages, unless the user has said how the C library should behave."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

STEPS = """
import resource
from grokcore.engine.cohort import Cohort
from grokcore.run_config import RunConfig

run = RunConfig.from_dict({
    "task": {"name": "modular_addition", "modulus": 97},
    "model": {"name": "mlp", "width": 64, "inputs": "embedding"},
    "optimizer": {"name": "adamw", "rate": 1e-3, "decay": 1.0},
    "fraction": 0.5,
    "steps": 10**6,
})
cohort = Cohort([run] * 2)
cohort.train_to(5)
pages = []
for stretch in range(1, 6):  # a busy system may move some of a process's pages meanwhile
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    cohort.train_to(5 + 10 * stretch)
    pages.append((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10)
print(min(pages))
"""


def _pages_a_step(**environment: str) -> float:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", STEPS], env=own | environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def test_a_step_asks_the_system_for_no_new_pages() -> None:
    """A step of two such networks frees some 3 MB in blocks that would each be mapped and cleared anew."""
    if platform.libc_ver()[0] == "glibc":
        assert _pages_a_step() < 20
        assert _pages_a_step(GROKMAP_LOOPS="torch") < 20
    # Told otherwise by the user, the C library gives memory back as it always does. Loops ask for next to none.
    assert _pages_a_step(GROKMAP_LOOPS="torch", MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072") > 200
