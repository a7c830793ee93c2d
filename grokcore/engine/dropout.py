"""Dropout: each run's activations are thinned out by its own stream of numbers (Srivastava et al. 2014).

Shapes: K runs, N examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.numerics.random_streams import hashed, stream, uniform

if TYPE_CHECKING:
    from torch import Tensor

CALLS = 1 << 16
"""Tensors that are thinned out in a step, at most."""


class Dropout:
    """The tap that thins out what passes some places, anew at every step, and scales up what is left."""

    def __init__(
        self, rates: Sequence[float], seeds: Sequence[int], places: tuple[str, ...], device: torch.device | None = None
    ) -> None:
        self.places = places
        self._rates = torch.tensor(rates, dtype=torch.float64).to(device)
        self._keys = torch.tensor([stream(seed, "dropout") for seed in seeds]).to(device)
        self._step = torch.zeros(1, dtype=torch.long, device=device)
        self._call, self._rows = 0, torch.zeros(1, 1, dtype=torch.long, device=device)

    def begin(self, step: int) -> None:
        """Go on from update number `step`."""
        self._step.fill_(step)
        self._call = 0

    def next_step(self) -> None:
        """Go to the next update."""
        self._step.add_(1)
        self._call = 0

    def on(self, rows: Tensor | None) -> Dropout:
        """Thin out examples that are these rows of the task's table, (K, N); None: they count by their places."""
        if rows is not None:
            self._rows = rows
        return self

    def __call__(self, name: str, x: Tensor) -> Tensor:
        """Return stacked activations (K, …), at its places with each element zero with its run's probability."""
        if not name.startswith(self.places):
            return x
        shape = (-1, *[1] * (x.dim() - 1))
        keys = hashed(self._keys, self._step * CALLS + self._call).view(shape)
        self._call += 1
        # An example's mask is its own, wherever it lies in a batch.
        features = torch.arange(x[0, 0].numel(), device=x.device).view(1, 1, *x.shape[2:])
        elements = self._rows.view(*self._rows.shape, *[1] * (x.dim() - 2)) * features.numel() + features
        rates = self._rates.to(x.dtype).view(shape)
        return x * (uniform(hashed(keys, elements), x.dtype) >= rates).to(x.dtype).div_(1 - rates)
