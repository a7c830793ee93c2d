"""Muon: orthogonalised momentum for hidden matrices, AdamW for the rest (Jordan et al. 2024), as torch.optim.Muon."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Lt

from grokcore.config.per_run import Settings
from grokcore.lazy_torch import torch
from grokcore.models.base import Model
from grokcore.numerics.flat_parameters import FlatParameters
from grokcore.numerics.matmul import matmul
from grokcore.optimizers._moments import MomentOptimizer
from grokcore.optimizers.adamw import AdamW
from grokcore.optimizers.base import Floats, ParameterGroup, decayed_, scheduled_decay, scheduled_rate
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton–Schulz iteration x ← a x + (b xxᵀ + c (xxᵀ)²) x, Jordan et al.'s."""

ITERATIONS = 5
"""Newton–Schulz iterations per step: singular values end between about .7 and 1.2."""

TINY = 1e-7
"""Least norm that a matrix is divided by before."""


@dataclass(frozen=True, kw_only=True)
class Muon(MomentOptimizer):
    """θ ← (1 − rate · decay) θ − rate · √max(1, outputs / inputs) · orthogonalised(momentum · b + (1 − momentum) ∇L).

    b ← momentum · b + (1 − momentum) ∇L is the running gradient. So move hidden matrices, those between what is read
    in and what is read out; embeddings, read-out, biases and gains move by AdamW with `adam_rate` and the same decay.
    The iteration runs in the run's own precision, not in bfloat16.
    """

    SHARED: ClassVar[frozenset[str]] = frozenset({"decay_to"})

    momentum: Annotated[float, Ge(0), Lt(1)] = 0.95
    """Share of the running gradient that is kept."""
    adam_rate: Annotated[float, Gt(0)] = 1e-3
    """Learning rate of what is not a hidden matrix."""

    def complaints(self) -> Iterator[str]:
        """Yield that the embedding already has a rate of its own."""
        yield from super().complaints()
        if self.embedding_rate is not None or self.embedding_decay is not None:
            yield "embedding_rate, embedding_decay: under Muon embeddings move by AdamW; set adam_rate instead."

    def misfits(self, model: Model, task: Task) -> Iterator[str]:
        """Yield that there is no hidden matrix."""
        if not model.hidden(task):
            yield (
                "optimizer = muon: the model has no matrix between what it reads and its read-out, so that AdamW would "
                "move everything; take adamw, a deeper network or an embedding."
            )

    @classmethod
    def coefficients(cls, settings: Settings, steps: npt.NDArray[np.int64]) -> dict[str, Floats]:
        """Scheduled rates and decays."""
        rate = scheduled_rate(settings, steps)
        return {
            "keep": 1.0 - rate * scheduled_decay(settings, steps),
            "fresh": (1.0 - settings["momentum"]) * np.ones_like(rate),
            "momentum": settings["momentum"] * np.ones_like(rate),
            "rate": -rate,
        }

    @classmethod
    def update(cls, flat: Tensor, gradient: Tensor, state: Mapping[str, Tensor], at: Mapping[str, Tensor]) -> None:
        """Move one hidden matrix: `flat` is (K, inputs, outputs) here, the coefficients (K, 1, 1)."""
        running = state["first"].lerp_(gradient, at["fresh"])
        step = orthogonalised(torch.lerp(gradient, running, at["momentum"]))
        decayed_(flat, state, at["keep"])
        inputs, outputs = flat.shape[1:]
        flat.addcmul_(step, at["rate"], value=math.sqrt(max(1.0, outputs / inputs)))

    @classmethod
    def parameter_groups(
        cls,
        settings: Settings,
        parameters: FlatParameters,
        hidden: Sequence[str],
        *,
        outputs_first: bool = False,
    ) -> list[ParameterGroup]:
        """Return Muon for each hidden matrix, and AdamW for each stretch between them."""
        adam = {**settings, "rate": settings["adam_rate"]}
        groups, end = [], 0
        for name in sorted(hidden, key=lambda name: parameters.offsets[name]):
            start, shape = parameters.offsets[name], parameters.shapes[name]
            if end < start:
                groups.append(ParameterGroup(AdamW, adam, slice(end, start)))
            end = parameters.part(name).stop
            matrix = slice(start, start + math.prod(shape))
            groups.append(ParameterGroup(cls, settings, matrix, shape, transposed=outputs_first))
        if end < parameters.length:
            groups.append(ParameterGroup(AdamW, adam, slice(end, parameters.length)))
        return groups


def orthogonalised(matrices: Tensor) -> Tensor:
    """Return the nearest semi-orthogonal matrices (K, n, m), roughly: singular values between about .7 and 1.2."""
    a, b, c = QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp_min(TINY)
    for _ in range(ITERATIONS):
        gram = matmul(x, x.mT)
        x = matmul(matmul(c * gram, gram, b * gram), x, a * x)
    return x.mT if tall else x
