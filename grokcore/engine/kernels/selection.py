"""Which kernel computes a model: the first that declares it can, else torch's differentiation."""

from __future__ import annotations

import functools
import logging

from grokcore.config.registry import Registry
from grokcore.engine.kernels.autograd import AutogradKernel
from grokcore.engine.kernels.base import Kernel
from grokcore.losses.base import Loss
from grokcore.models.base import Model
from grokcore.tasks.base import Task

KERNELS = ("mlp", "grid_transformer", "transformer", "prefix_transformer")
"""Files of this folder whose kernels are asked, the fastest first."""

_registry: Registry[Kernel] = Registry("grokcore.engine.kernels", Kernel, "kernel")  # type: ignore[type-abstract]

_log = logging.getLogger("grokcore")


def kernel_for(
    model: Model,
    task: Task,
    loss: Loss,
    *,
    dropout: bool = False,
    layout: str = "bucketed",
    chunk_elements: int | None = None,
) -> Kernel:
    """Return what computes stacked losses and gradients of a model on a task, of examples that lie in a layout."""
    return kernel_class(model, task, dropout=dropout, layout=layout)(model, task, loss, chunk_elements)


@functools.lru_cache(maxsize=256)
def kernel_class(model: Model, task: Task, *, dropout: bool = False, layout: str = "bucketed") -> type[Kernel]:
    """Return the kernel that serves a model; says in the log why a slower one is taken than its kind could have."""
    reasons = []
    for name in KERNELS:
        kernel = _registry.member(name)
        reason = kernel.serves.refusal(model, dropout=dropout, layout=layout)
        if reason is None and kernel.fits(task):
            return kernel
        if reason is not None and kernel.serves.concerns(model):
            reasons.append(f"{name}: {reason}")
    if reasons:
        _log.info("%s is differentiated by torch; no kernel serves it (%s)", model, "; ".join(reasons))
    return AutogradKernel
