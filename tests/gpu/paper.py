"""A graphics card on paper: the engine's CUDA side, computed where there is no card.

`OnCpu` computes with a card's layout, sizes and counters on the CPU's tensors: numbers can be compared. `Fake` is a
card for torch's FakeTensorMode: shapes and devices are followed, nothing is computed; mixing devices raises, and so
does whatever would wait for the card. Neither records a graph.
"""

from __future__ import annotations

import contextlib
import functools

from torch._subclasses import fake_tensor
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from grokcore.engine.devices.base import Device
from grokcore.engine.devices.cpu import Cpu
from grokcore.engine.devices.cuda import Cuda


class OnCpu(Cuda):
    """A card's way of computing, on the CPU."""

    def __init__(self) -> None:
        Device.__init__(self, "cpu")
        self._cpu = Cpu("cpu")

    def computing(self, dtype="float32"):
        return self._cpu.computing(dtype)

    def free_bytes(self):
        return 80 << 30

    def facts(self):
        return {"processor": "a card on paper", "driver": "none", "cuda": "none", "threads": 1}

    def seconds(self):
        return self._cpu.seconds()

    def repeating(self, step):
        return Device.repeating(self, step)

    def to_host(self, tensors):
        return Device.to_host(self, tensors)


class Fake(OnCpu):
    """A card for FakeTensorMode: a device that torch's CPU build knows nothing of but the name."""

    def __init__(self) -> None:
        _make_known()
        Device.__init__(self, "card:0")

    def computing(self, dtype="float32"):  # noqa: ARG002
        return contextlib.nullcontext()


@functools.cache
def _make_known():
    # A build without CUDA has no guard for "cuda" devices, so that even a copy between two fake ones fails there.
    _setup_privateuseone_for_python_backend("card")
    # Fake tensors of one element carry their value along and compute with it, which this device cannot.
    fake_tensor.CONSTANT_NUMEL_LIMIT = 0
