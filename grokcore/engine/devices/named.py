"""Devices by name: "cpu", "cuda", "cuda:1"."""

from __future__ import annotations

import functools
import re

from grokcore.engine.devices import cuda
from grokcore.engine.devices.base import Device
from grokcore.engine.devices.cpu import Cpu
from grokcore.errors import ConfigError, unknown_name

NAMES = ("cpu", "cuda", "cuda:0")
"""What devices are called; any number may stand behind the colon."""

_CUDA = re.compile(r"cuda(:\d+)?")


@functools.cache
def device_named(name: str) -> Device:
    """Return a device; raises `ConfigError` for an unknown name, or for one that is not there or cannot be used."""
    if name == "cpu":
        return Cpu(name)
    if not isinstance(name, str) or not _CUDA.fullmatch(name):
        raise ConfigError([f"device: {unknown_name('device', name, NAMES)}"])
    if (complaint := cuda.trouble(name)) is not None:
        raise ConfigError([complaint])
    return cuda.Cuda(name)
