"""Transform: what is done to the gradient before the optimizer's step, or to the weights after it.

Shapes: K runs, L elements of a run's flat vector, T steps of a stretch between two evaluations.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from grokcore.config.per_run import PerRun, Settings
from grokcore.config.registry import ComponentRegistry
from grokcore.lazy_torch import torch
from grokcore.numerics.flat_parameters import FlatParameters
from grokcore.optimizers.base import Optimizer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Weights:
    """The stacked weights of a cohort and what goes with them."""

    flat: Tensor
    """(K, L), all parameters of a run one after another."""
    gradient: Tensor
    """(K, L), the same for the gradient."""
    parameters: Mapping[str, Tensor]
    """Views of `flat`: name to (K, *shape)."""
    gradients: Mapping[str, Tensor]
    """Views of `gradient`."""
    state: Mapping[str, Tensor]
    """What the optimizer and the transform remember, (K, …) each."""
    layout: FlatParameters
    """Where each parameter lies in the flat vectors."""

    @functools.cached_property
    def members(self) -> Tensor:
        """Which tensor each element belongs to: (L, tensors) float64, ones and zeros; gaps belong to none."""
        return self.layout.members(self.flat.device)

    def sums(self, *values: Tensor) -> Tensor:
        """Return the sums of flat values (K, L) over each parameter tensor, in float64: (K, values, tensors)."""
        return torch.bmm(torch.stack(values, dim=1).double(), self.members.expand(len(self.flat), -1, -1))

    def spread(self, numbers: Tensor) -> Tensor:
        """Return a number for each parameter tensor, (K, tensors), at each of its elements: (K, L)."""
        return torch.bmm(numbers.unsqueeze(1), self.members.T.expand(len(self.flat), -1, -1)).squeeze(1)


@dataclass(frozen=True, kw_only=True)
class Transform(PerRun, abc.ABC):
    """What may make generalisation come sooner. A member overrides what it needs; the rest does nothing."""

    def misfits(self, optimizer: Optimizer) -> Iterator[str]:  # noqa: ARG002
        """Yield why it makes no sense beside the optimizer; nothing if it does."""
        yield from ()

    def state(self, flat: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        """Return what is remembered from step to step, at the initial weights `flat` (K, L): tensors (K, …)."""
        return {}

    def coefficients(self, settings: Settings, steps: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:  # noqa: ARG002
        """Return what the changes need at updates number `steps` (T,), counted from 0: arrays (T, K)."""
        return {}

    def look(self, state: Mapping[str, Tensor], run: int, accuracy: float) -> None:
        """Note what an evaluation saw: the training accuracy of run number `run` of those that `state` is of."""

    def change_gradient(self, weights: Weights, at: Mapping[str, Tensor]) -> None:
        """Change the gradient in place before an update; `at` holds its coefficients, (K, 1)."""

    def change_weights(self, weights: Weights) -> None:
        """Change the weights in place after an update."""


def inner_products(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner product of each run's flat tensors (K, n) in float64: (K, 1).

    As products of matrices, one for each run: a sum over a stacked axis may add in an order that depends on how many
    are stacked.
    """
    return torch.bmm(a.double().unsqueeze(1), b.double().unsqueeze(2)).squeeze(2)


TRANSFORMS: ComponentRegistry[Transform] = ComponentRegistry("grokcore.transforms", Transform, "transform")
