"""Updates: what moves the weights, given their gradient: the transform, then the optimizer's groups.

Shapes: K runs, L elements of a run's flat vector, T steps of a stretch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from grokcore.config.per_run import stacked
from grokcore.engine.coefficients import Coefficients, DeviceCoefficients, HostCoefficients
from grokcore.engine.devices.base import Device
from grokcore.lazy_torch import torch
from grokcore.numerics.flat_parameters import FlatParameters
from grokcore.numerics.random_streams import normal, stream
from grokcore.optimizers.base import OptimizerGroup
from grokcore.run_config import RunConfig
from grokcore.transforms.base import Weights

if TYPE_CHECKING:
    from torch import Tensor


class Updates:
    """Moves the stacked weights of some runs, each by its own settings."""

    def __init__(
        self,
        configs: Sequence[RunConfig],
        weights: Weights,
        layout: FlatParameters,
        device: Device,
        counter: Tensor,
        longest: int,
    ) -> None:
        first = configs[0]
        self.runs, self.weights, self.transform = len(configs), weights, first.transform
        settings = stacked([config.optimizer for config in configs])
        self._transform_settings = stacked([config.transform for config in configs])
        hidden, outputs_first = first.model.hidden(first.task), first.model.outputs_first
        groups = first.optimizer.parameter_groups(settings, layout, hidden, outputs_first=outputs_first)
        self.groups = [
            OptimizerGroup(group, weights.flat, weights.gradient, weights.state, device.piece_elements)
            for group in groups
        ]
        dtype, place = weights.flat.dtype, weights.flat.device
        dimensions = [2, *(group.dimensions for group in self.groups)]
        self.coefficients: Coefficients = (
            DeviceCoefficients(dimensions, place, dtype, counter, longest)
            if device.captures
            else HostCoefficients(dimensions, place, dtype)
        )
        self.noise = _Noise(configs, weights, layout) if any(config.gradient_noise for config in configs) else None

    def begin(self, steps: npt.NDArray[np.int64]) -> None:
        """Make ready for the updates with these numbers, counted from 0."""
        tables = [
            self.transform.coefficients(self._transform_settings, steps),
            *(group.coefficients(steps) for group in self.groups),
        ]
        if self.noise is not None:
            self.noise.begin(int(steps[0]))
        self.coefficients.begin(tables, self.runs)

    def take(self, i: int) -> None:
        """Move the weights by their gradient, as update number `i` of those that `begin` was told of."""
        change, *moves = self.coefficients.at(i)
        if self.noise is not None:
            self.noise.add()
        self.transform.change_gradient(self.weights, change)
        for group, at in zip(self.groups, moves, strict=True):
            group.move(at)
        self.transform.change_weights(self.weights)


class _Noise:
    """Normal noise on every element of every gradient, each run's from a stream of its own."""

    def __init__(self, configs: Sequence[RunConfig], weights: Weights, layout: FlatParameters) -> None:
        flat = weights.flat
        keys = [stream(config.seed, "gradient noise") for config in configs]
        self._keys = torch.tensor(keys).to(flat.device).unsqueeze(1)
        sizes = [config.gradient_noise for config in configs]
        # Gaps between parameters have no weights that noise could move.
        real = layout.real_elements(flat.device, flat.dtype)
        self._sizes = torch.tensor(sizes, dtype=flat.dtype).to(flat.device).unsqueeze(1) * real
        self._elements = torch.arange(layout.length, device=flat.device)
        self._gradient, self._length = weights.gradient, layout.length
        self._step = torch.zeros(1, dtype=torch.long, device=flat.device)

    def begin(self, step: int) -> None:
        """Go on from update number `step`."""
        self._step.fill_(step)

    def add(self) -> None:
        """Add the step's noise."""
        numbers = normal(self._keys, self._step * self._length + self._elements, self._gradient.dtype)
        self._gradient.addcmul_(numbers, self._sizes)
        self._step.add_(1)


def update_of(updates: Updates, step: int, gradients: Mapping[str, Tensor], mine: Mapping[str, Tensor]) -> Tensor:
    """Return what a step with some gradients would add to the flat weights, (K, L), and leave everything as it is.

    `mine` are the stacked gradients that updates work on, by the same names.
    """
    weights = updates.weights
    before = {"flat": weights.flat, "gradient": weights.gradient, **weights.state}
    copies = {name: value.clone() for name, value in before.items()}
    try:
        for name, value in gradients.items():
            mine[name].copy_(value)
        updates.begin(np.array([step]))
        noise, updates.noise = updates.noise, None  # the size of a step is told without noise
        try:
            updates.take(0)
        finally:
            updates.noise = noise
        return weights.flat - copies["flat"]
    finally:
        for name, value in before.items():
            value.copy_(copies[name])
