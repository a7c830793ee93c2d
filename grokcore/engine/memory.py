"""Memory: how much a cohort will need, told before it is used, and how many runs fit.

A cohort's steps are gone through on torch's meta device, where tensors have shapes and no elements, and what is held
at once is added up. So every model, layout, optimizer and transform is counted as it is written. What is small is gone
through on the processor itself, which is sooner done.
"""

from __future__ import annotations

import logging

from grokcore.engine.devices.base import Device
from grokcore.engine.devices.cpu import Cpu
from grokcore.engine.grouping import cohort_key, default_layout
from grokcore.engine.on_paper import Bytes, on_paper, tried
from grokcore.errors import ConfigError
from grokcore.numerics.flat_parameters import FlatParameters
from grokcore.run_config import RunConfig

GIB = float(1 << 30)
SMALL = 1 << 24
"""Parameters times examples up to which a processor goes through the steps: no example has more activations than that
network has parameters, so that they hold some 64 MiB at most."""

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


_known: dict[tuple[str, str, str, bool], tuple[int, int]] = {}
"""What `_held` found, by shape, device, layout, and whether noise is drawn."""


def _held(config: RunConfig, device: Device, layout: str) -> tuple[int, int]:
    """Return the bytes that a cohort holds whatever its size, and those of each run."""
    place = (cohort_key(config, layout), device.name, layout, bool(config.gradient_noise))
    if place not in _known:
        one, three = (_peak(config, runs, device, layout) for runs in (1, 3))
        each = (three - one) // 2
        _known[place] = one - each, each
    return _known[place]


def _peak(config: RunConfig, runs: int, device: Device, layout: str) -> int:
    """Go through two steps and a look at all examples; return the most bytes held at once."""
    parameters = FlatParameters.of(config.model.shapes(config.task)).length
    small = device.kind == Cpu.kind and parameters * config.task.examples <= SMALL
    begun = tried if small else on_paper
    with Bytes(Cpu.kind if small else "meta") as held, begun(config, runs, device, layout) as stack:
        stack.train(0, 2)
        stack.examine()
    return int(held.most)
