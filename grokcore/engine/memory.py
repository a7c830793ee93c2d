"""Memory: how much a cohort will need, told before it is used, and how many runs fit.

A cohort's steps are gone through on torch's meta device, where tensors have shapes and no elements, and what is held
at once is added up. So every model, layout, optimizer and transform is counted as it is written.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import logging
import weakref
from dataclasses import replace
from typing import Any, cast

import torch
from torch.fx.experimental import _config as fake_config
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from grokcore.data.layouts import LAYOUTS
from grokcore.engine.devices.base import Device
from grokcore.engine.devices.cpu import Cpu
from grokcore.engine.grouping import cohort_key, default_layout
from grokcore.engine.kernels.selection import kernel_for
from grokcore.engine.stack import Stack
from grokcore.errors import ConfigError
from grokcore.numerics.flat_parameters import FlatParameters
from grokcore.run_config import RunConfig

GIB = float(1 << 30)

_log = logging.getLogger("grokcore")


def predicted_bytes(config: RunConfig, runs: int = 1, device: Device | None = None, layout: str | None = None) -> int:
    """Return how many bytes a cohort of `runs` such runs holds at once on a device, while it trains and is examined.

    Measures are not counted; they look at a few runs at a time.
    """
    device = Cpu("cpu") if device is None else device
    layout = default_layout(config, device) if layout is None else layout
    shared, each = _held(config, device, layout)
    return shared + runs * each


def fitting(
    config: RunConfig,
    wanted: int,
    device: Device,
    *,
    free: int | None = None,
    layout: str | None = None,
    sharing: int = 1,
) -> int:
    """Return how many of `wanted` runs fit into one of `sharing` cohorts on a device; says in a line if not all do.

    Raises `ConfigError` if a single one does not.
    """
    free = device.free_bytes() if free is None else free
    one, two = (predicted_bytes(config, runs, device, layout) for runs in (1, 2))
    room = device.memory_share * free / sharing
    fit = 1 + int((room - one) // (two - one))
    if fit < 1:
        part = f"{device.memory_share:.0%} of which is used" + (f", by {sharing} cohorts" if sharing > 1 else "")
        raise ConfigError(
            [
                f"model, fraction, batch: a run needs about {one / GIB:.2g} GiB, and {free / GIB:.2g} GiB are free on "
                f"{device.name}, {part}; take a smaller network, minibatches, or fewer cohorts at a time."
            ]
        )
    if fit < wanted:
        _log.warning(
            "%d runs need about %.2g GiB together, and %.2g GiB are free for them on %s: trained %d at a time.",
            wanted, (one + (wanted - 1) * (two - one)) / GIB, room / GIB, device.name, fit,
        )  # fmt: skip
    return min(fit, wanted)


_known: dict[tuple[str, str, str], tuple[int, int]] = {}
"""What `_held` found, by shape, device and layout."""


def _held(config: RunConfig, device: Device, layout: str) -> tuple[int, int]:
    """Return the bytes that a cohort holds whatever its size, and those of each run."""
    place = (cohort_key(config, layout), device.name, layout)
    if place not in _known:
        one, three = (_peak(config, runs, device, layout) for runs in (1, 3))
        each = (three - one) // 2
        _known[place] = one - each, each
    return _known[place]


def _peak(config: RunConfig, runs: int, device: Device, layout: str) -> int:
    """Go through two steps and a look at all examples on paper; return the most bytes held at once."""
    dtype = torch.float64 if config.dtype == "float64" else torch.float32
    length = FlatParameters.of(config.model.shapes(config.task)).length
    examples = LAYOUTS[layout].of_run(replace(config, steps=max(2, config.steps)))
    # Of what is chosen by its values, all is counted.
    patched = cast("contextlib.AbstractContextManager[None]", fake_config.patch(meta_nonzero_assume_all_nonzero=True))  # type: ignore[attr-defined]
    with patched, _Bytes() as held, torch.no_grad():
        flat = torch.empty(runs, length, dtype=dtype, device="meta")
        state = {**config.optimizer.state(flat), **config.transform.state(flat)}
        kernel = kernel_for(
            config.model,
            config.task,
            config.loss,
            dropout=bool(config.dropout),
            layout=layout,
            chunk_elements=device.chunk_elements,
        )
        stack = Stack(kernel, layout, [examples] * runs, flat, state, _on_paper(device))
        stack.train(0, 2)
        stack.examine()
    return int(held.most)


def _on_paper(device: Device) -> Device:
    """Return a device with the same sizes, on which nothing is computed or recorded."""
    paper = copy.copy(device)
    paper.torch = torch.device("meta")
    paper.repeating = functools.partial(Device.repeating, paper)  # type: ignore[method-assign]
    return paper


class _Bytes(TorchDispatchMode):
    """Adds up the bytes of tensors on the meta device while they live."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now, self.most = 0, 0
        self._seen = weakref.WeakSet[torch.UntypedStorage]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for value in tree_leaves(found):
            if isinstance(value, torch.Tensor) and value.device.type == "meta":
                storage = value.untyped_storage()
                if storage not in self._seen:
                    self._seen.add(storage)
                    self._hold(storage.nbytes())
                    weakref.finalize(storage, self._hold, -storage.nbytes())
        return found

    def _hold(self, count: int) -> None:
        self.now += count
        self.most = max(self.most, self.now)
