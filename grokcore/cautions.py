"""Cautions: settings that are allowed and do nothing, or not what they seem to; said before a run, never refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from grokcore.run_config import RunConfig
from grokcore.transforms.base import TRANSFORMS, Transform

USUAL_RATIO = 4
"""Width of a transformer's MLP over its own, in the published experiments."""


def cautions(config: RunConfig) -> Iterator[str]:
    """Yield in sentences what of a run is accepted and has no effect, or another than one would think."""
    optimizer, steps = config.optimizer, config.steps
    if optimizer.warmup >= steps:
        yield f"optimizer.warmup = {optimizer.warmup}, steps = {steps}: the rate never reaches its value."
    for name, shape in (("schedule_steps", "schedule"), ("decay_steps", "decay_schedule")):
        if getattr(optimizer, shape) != "constant" and getattr(optimizer, name) > steps:
            yield f"optimizer.{name} = {getattr(optimizer, name)}, steps = {steps}: the run ends within the schedule."
    for transform in _all_of(config.transform):
        name = TRANSFORMS.name_of(transform)
        window = getattr(transform, "window", 0)
        if window >= steps:
            yield f"transform {name}, window = {window}, steps = {steps}: the window is never full, so nothing changes."
        if name == "orthograd" and optimizer.decay:
            yield (
                f"transform orthograd with decay = {optimizer.decay:g}: nothing is left that makes weights grow, and "
                "decay shrinks them steadily; it was published with decay 0 (arXiv 2501.04697)."
            )
    width, mlp_width = getattr(config.model, "width", None), getattr(config.model, "mlp_width", None)
    if width is not None and mlp_width is not None and mlp_width > 2 * USUAL_RATIO * width:
        yield (
            f"model.mlp_width = {mlp_width} does not follow model.width = {width}; "
            f"{USUAL_RATIO} times as wide is usual: {USUAL_RATIO * width}."
        )


def _all_of(transform: Transform) -> Iterator[Transform]:
    """Yield a transform and those that it is made of."""
    yield transform
    for field in dataclasses.fields(transform):
        inner = getattr(transform, field.name)
        if isinstance(inner, Transform):
            yield from _all_of(inner)
