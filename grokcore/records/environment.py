"""The environment a run was made in: what a record says about versions, processor, threads, device and precision."""

from __future__ import annotations

import os
import platform
from typing import Any

import numpy as np
import torch

from grokcore.config.registry import folders_digest
from grokcore.numerics.matmul import matmul_library
from grokcore.numerics.processor import processor
from grokcore.version import VERSION


def describe(device: str, dtype: str) -> dict[str, Any]:
    """Return what may change a run's last bits: versions, processor, threads, device, precision."""
    return {
        "grokmap": VERSION,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "processor": torch.cuda.get_device_name(device) if device.startswith("cuda") else processor(),
        "capability": "cuda" if device.startswith("cuda") else torch.backends.cpu.get_cpu_capability(),
        "matmul": matmul_library() if device == "cpu" else "",
        "mkl_cbwr": os.environ.get("MKL_CBWR", ""),
        "threads": torch.get_num_threads(),
        "components": folders_digest(),
        "device": device,
        "dtype": dtype,
    }
