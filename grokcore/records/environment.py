"""The environment a run was made in: what a record says about versions, processor, threads, device and precision."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

from grokcore.config.folders import folders_digest
from grokcore.lazy_torch import torch
from grokcore.version import VERSION


def describe(device: str, facts: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """Return what may change a run's last bits: versions, what the device says of itself, parts of one's own, dtype."""
    return {
        "grokmap": VERSION,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        **facts,
        "components": folders_digest(),
        "device": device,
        "dtype": dtype,
    }
