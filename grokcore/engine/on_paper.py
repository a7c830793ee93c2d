"""On paper: a cohort's stack on torch's meta device, where tensors have shapes and no elements; or tried for real.

Its steps launch what they would launch on the device, so that kernels and bytes are counted where no such device is.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

from torch.fx.experimental import _config as fake_config
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from grokcore.data.layouts import LAYOUTS
from grokcore.engine.devices.base import Device
from grokcore.engine.stack import Stack, kept_as
from grokcore.lazy_torch import torch
from grokcore.numerics.flat_parameters import FlatParameters
from grokcore.run_config import RunConfig

VIEWS = {
    "view", "_unsafe_view", "reshape", "_reshape_alias", "unsqueeze", "squeeze", "transpose", "t", "permute", "movedim",
    "expand", "select", "slice", "narrow", "alias", "detach", "unbind", "split", "split_with_sizes", "as_strided",
    "unfold", "diagonal", "lift_fresh", "view_as", "empty", "empty_like", "new_empty", "empty_strided", "resize_",
    "device",
}  # fmt: skip
"""What launches no kernel: other ways to see the same memory, and memory that nothing is written to."""


@contextlib.contextmanager
def on_paper(config: RunConfig, runs: int, device: Device, layout: str) -> Iterator[Stack]:
    """Give the stack of `runs` such runs as a device would have it, to be gone through in the block."""
    paper = copy.copy(device)
    paper.torch = torch.device("meta")
    paper.repeating = functools.partial(Device.repeating, paper)  # type: ignore[method-assign]
    # Where elements are chosen by their values, all are.
    patch = fake_config.patch(meta_nonzero_assume_all_nonzero=True)  # type: ignore[attr-defined]
    with cast("contextlib.AbstractContextManager[None]", patch), torch.no_grad():
        yield _stack(config, runs, paper, layout)


@contextlib.contextmanager
def tried(config: RunConfig, runs: int, device: Device, layout: str) -> Iterator[Stack]:
    """Give the same stack on the device itself, with weights of nothing; torch then need not import its compiler."""
    with device.computing(config.dtype), torch.no_grad():
        yield _stack(config, runs, device, layout)


def _stack(config: RunConfig, runs: int, device: Device, layout: str) -> Stack:
    """Return the stack of `runs` such runs where `device` has its tensors."""
    length = FlatParameters.of(config.model.shapes(config.task)).length
    examples = LAYOUTS[layout].of_run(config)
    flat = torch.zeros(runs, length, dtype=kept_as(config), device=device.torch)
    return Stack.begun(layout, [examples] * runs, flat, device)


def kernels_per_step(config: RunConfig, runs: int, device: Device, layout: str) -> Counter[str]:
    """Return how often a step of a cohort launches each kernel, when all that is set up once is there."""
    with on_paper(config, runs, device, layout) as stack:
        stack.train(0, 2)
        with Launches() as one:
            stack.train(2, 1)
        with Launches() as three:
            stack.train(3, 3)
    counts = {name: (three.counts[name] - count) // 2 for name, count in one.counts.items()}
    return Counter({name: count for name, count in counts.items() if count})


class _Eager(TorchDispatchMode):
    """A mode that nothing is compiled under: torch need not import its compiler, which takes a second, to say so."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class Launches(_Eager):
    """Counts the kernels that are launched, by name."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.partition("::")[2]
        if name not in VIEWS:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


class Bytes(_Eager):
    """Adds up the bytes of tensors on a kind of device while they live."""

    def __init__(self, kind: str = "meta") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kind, self.now, self.most = kind, 0, 0
        self._seen = weakref.WeakSet[torch.UntypedStorage]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for value in tree_leaves(found):
            if isinstance(value, torch.Tensor) and value.device.type == self.kind:
                storage = value.untyped_storage()
                if storage not in self._seen:
                    self._seen.add(storage)
                    self._hold(storage.nbytes())
                    weakref.finalize(storage, self._hold, -storage.nbytes())
        return found

    def _hold(self, count: int) -> None:
        self.now += count
        self.most = max(self.most, self.now)
