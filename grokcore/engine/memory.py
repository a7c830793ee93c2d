"""Memory: how much a cohort will need, told before it is used, and how many runs fit."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import torch

from grokcore.data.bucketing import bucket, distinct_count
from grokcore.engine.kernels.base import CHUNK_ELEMENTS
from grokcore.engine.kernels.selection import kernel_class
from grokcore.errors import ConfigError
from grokcore.numerics.flat_parameters import FlatParameters
from grokcore.numerics.vectors import VECTOR
from grokcore.run_config import RunConfig

SHARE = 0.5
"""Share of the free memory that a cohort may take: predictions are good to a factor of about two."""

GIB = float(1 << 30)

_log = logging.getLogger("grokcore")


def predicted_bytes(config: RunConfig, runs: int = 1) -> int:
    """Return about how many bytes a cohort of `runs` such runs holds at once, beyond what the process has anyway."""
    size = 8 if config.dtype == "float64" else 4
    length = FlatParameters.of(config.model.shapes(config.task)).length
    weights = torch.empty(1, length, device="meta", dtype=torch.float64 if size == 8 else torch.float32)
    state = [*config.optimizer.state(weights).values(), *config.transform.state(weights).values()]
    # The weights, their gradient, and one more while steps are taken.
    kept = 3 * length * size + sum(value.numel() * value.element_size() for value in state)
    table = config.task.table
    examples, positions = table.inputs.shape
    trained = bucket(distinct_count(config)) if config.batch == "full" else -(-config.batch // VECTOR) * VECTOR
    # Token and table indices of the batch, there and back; targets and counts of every example.
    indices = 8 * (4 * trained * positions + 4 * examples)
    # Per example, by the kernel that will train it.
    held = kernel_class(config.model, dropout=bool(config.dropout)).held(config.model, config.task)
    activations = trained * held * size
    examined = min(examples, max(VECTOR, CHUNK_ELEMENTS // table.classes))
    seen = examined * (4 * table.classes + held // 2) * size
    return int(runs * (kept + indices + max(activations, seen)))


def available_bytes(device: str = "cpu") -> int:
    """Return how many bytes are free on a device, as far as the system or its control group tells."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    facts = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
    free = int(facts["MemAvailable"].split()[0]) * 1024
    limit, used = (_group(name) for name in ("memory.max", "memory.current"))
    return free if limit is None or used is None else min(free, max(0, limit - used))


def _group(name: str) -> int | None:
    """Return a number of the control group that this process is in, or None if it has no say."""
    try:
        text = Path("/sys/fs/cgroup", name).read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def fitting(config: RunConfig, wanted: int, device: str = "cpu", free: int | None = None) -> int:
    """Return how many of `wanted` runs fit into a cohort; says so in a line if not all do.

    Raises `ConfigError` if a single one does not.
    """
    free = available_bytes(device) if free is None else free
    each = predicted_bytes(config)
    fit = int(SHARE * free // each)
    if fit < 1:
        raise ConfigError(
            [
                f"model, fraction, batch: a run needs about {each / GIB:.2g} GiB, and {free / GIB:.2g} GiB are free on "
                f"{device}, half of which is used; take a smaller network, or batch = a number."
            ]
        )
    if fit < wanted:
        _log.warning(
            "%d runs need about %.2g GiB together, and %.2g GiB are free on %s: trained %d at a time.",
            wanted, wanted * each / GIB, free / GIB, device, fit,
        )  # fmt: skip
    return min(fit, wanted)
