"""A CUDA device: thousands of cores that want few large kernels, replayed without the host.

What no hardware has run is said in docs/gpu.md.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from grokcore.engine.devices.base import Device
from grokcore.lazy_torch import torch
from grokcore.run_config import RunConfig

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger("grokcore")

WARM_UP = 3
"""Steps taken before one is recorded, as torch's documentation of graphs asks for."""

RECORDING = 30.0
"""Steps that setting up a smaller stack and recording its step are taken to cost; no hardware has measured it."""


class Cuda(Device):
    """One card, "cuda" or "cuda:1"."""

    kind: ClassVar[str] = "cuda"
    widths: ClassVar[tuple[int, ...]] = (1, 4, 16, 64, 256, 1024)
    slow_step: ClassVar[float] = float("inf")
    piece_elements: ClassVar[int | None] = None
    chunk_elements: ClassVar[int | None] = None
    measured_elements: ClassVar[int] = 1 << 24
    """128 MB of float64: large kernels, and still a small part of the memory."""
    layouts: ClassVar[tuple[str, ...]] = ("full_table", "bucketed")
    captures: ClassVar[bool] = True
    may_run_out: ClassVar[bool] = True
    memory_share: ClassVar[float] = 0.8
    """Predictions are within 15 % of what is allocated; the rest is the allocator's and the driver's."""

    @contextlib.contextmanager
    def computing(self, dtype: str = "float32") -> Iterator[None]:
        """Multiply in IEEE float32, or in TF32 where the run asks for it; restore the flags after."""
        flags = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = dtype == "tf32"
        try:
            with torch.cuda.device(self.torch):
                yield
        finally:
            torch.backends.cuda.matmul.allow_tf32 = flags

    def free_bytes(self) -> int:
        """Return what the driver has left, and what torch's allocator holds without using it."""
        held = torch.cuda.memory_reserved(self.torch) - torch.cuda.memory_allocated(self.torch)
        return int(torch.cuda.mem_get_info(self.torch)[0]) + held

    def facts(self) -> dict[str, Any]:
        """Return card, capability, driver, CUDA, cuBLAS and flags."""
        major, minor = torch.cuda.get_device_capability(self.torch)
        return {
            "processor": torch.cuda.get_device_name(self.torch),
            "capability": f"{major}.{minor}",
            "matmul": "cublas",
            "cuda": torch.version.cuda or "",
            "driver": _driver(),
            "cublas": _cublas(),
            "tf32": torch.backends.cuda.matmul.allow_tf32,
            "threads": torch.get_num_threads(),
        }

    def seconds(self) -> float:
        """Wait for the card, then return the time."""
        torch.cuda.synchronize(self.torch)
        return time.perf_counter()

    def repeating(self, step: Callable[[int], None]) -> Callable[[int], None]:
        """Return what records a step as a CUDA graph after a few, and replays it."""
        return _Graph(step, self.torch).run

    def worth_compacting(self, going: int, stacked: int, left: int) -> bool:
        """Go on with fewer if that saves twice what recording a smaller stack costs (docs/decisions/011)."""
        return (stacked - going) * left >= 2 * RECORDING * stacked

    def to_host(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return copies in pinned memory, which the card writes at full speed while it goes on."""
        copies = {
            name: torch.empty(value.shape, dtype=value.dtype, pin_memory=True).copy_(value, non_blocking=True)
            if value.is_cuda
            else value
            for name, value in tensors.items()
        }
        torch.cuda.synchronize(self.torch)
        return copies

    def complaints(self, config: RunConfig) -> Iterator[str]:
        """Yield that the card has no tensor cores for TF32."""
        if config.dtype == "tf32" and torch.cuda.get_device_capability(self.torch)[0] < 8:
            name = torch.cuda.get_device_name(self.torch)
            yield f'dtype = "tf32": {name} has no TF32, which came with compute capability 8.0; take "float32".'


class _Graph:
    """A step, taken as it is a few times, then recorded and replayed.

    The first steps let libraries choose their ways and kernels set up what they keep. A step that cannot be recorded,
    because something in it waits for the host, is taken as it is every time; the log says so once.
    """

    def __init__(self, step: Callable[[int], None], device: torch.device) -> None:
        self._step, self._device, self._taken = step, device, 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._recordable = True

    def run(self, count: int) -> None:
        """Take so many steps."""
        begun = 0
        while begun < count and (self._taken < WARM_UP or not self._recordable):
            self._step(begun)
            begun, self._taken = begun + 1, self._taken + 1
        if begun < count and self._graph is None and not self._record():
            self.run_as_it_is(begun, count)
            return
        for _ in range(begun, count):
            if self._graph is not None:
                self._graph.replay()

    def run_as_it_is(self, begun: int, count: int) -> None:
        """Take the rest of a stretch without a record."""
        for i in range(begun, count):
            self._step(i)

    def _record(self) -> bool:
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize(self._device)
        try:
            with torch.cuda.graph(graph):
                self._step(0)
        except RuntimeError as error:
            _log.warning(
                "a step cannot be replayed and is taken one kernel at a time: %s", str(error).partition("\n")[0]
            )
            self._recordable = False
            return False
        self._graph = graph
        return True


def trouble(name: str) -> str | None:
    """Return why a CUDA device of this name cannot be used here, or None if it can."""
    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        return f'device = "{name}": this torch ({torch.__version__}, {built}) finds no GPU; take device = "cpu".'
    index = torch.device(name).index or 0
    if index >= torch.cuda.device_count():
        there = ", ".join(f"cuda:{i}" for i in range(torch.cuda.device_count()))
        return f'device = "{name}": there is {there}; take one of these.'
    major, minor = torch.cuda.get_device_capability(index)
    built_for = [int(arch.removeprefix("sm_").rstrip("af")) for arch in torch.cuda.get_arch_list() if arch[:3] == "sm_"]
    if built_for and 10 * major + minor < min(built_for):
        card = f"{torch.cuda.get_device_name(index)} (compute capability {major}.{minor})"
        return (
            f'device = "{name}": {card} is too old for this torch, which is built for {min(built_for) / 10} and later.'
        )
    return None


def _driver() -> str:
    """Return the version of the driver, "" where it cannot be asked."""
    with contextlib.suppress(AttributeError, RuntimeError):
        number = int(torch._C._cuda_getDriverVersion())  # type: ignore[attr-defined]
        return f"{number // 1000}.{number % 1000 // 10}"
    return ""


def _cublas() -> str:
    """Return which cuBLAS multiplies: its version, or that of torch's build that brings it along."""
    from importlib import metadata

    for package in ("nvidia-cublas-cu13", "nvidia-cublas-cu12", "nvidia-cublas"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(package)
    return f"of torch {torch.__version__}"
