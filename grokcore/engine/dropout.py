"""Dropout: each run's activations are thinned out by its own generator (Srivastava et al. 2014)."""

from __future__ import annotations

import torch
from torch import Tensor

from grokcore.numerics.random_streams import generator


class Dropout:
    """The tap of one training step that thins out what passes some places, and scales up what is left."""

    def __init__(self, rates: list[float], seeds: list[int], step: int, places: tuple[str, ...]) -> None:
        self.rates, self.places = rates, places
        # A generator per step rather than one that goes on: there is nothing to put into a checkpoint.
        self.generators = [generator(seed, f"dropout:{step}") for seed in seeds]

    def __call__(self, name: str, x: Tensor) -> Tensor:
        """Return stacked activations (K, …), at its places with each element zero with its run's probability."""
        if not name.startswith(self.places):
            return x
        masks = [
            torch.rand(x.shape[1:], generator=own).ge_(rate).div_(1 - rate)
            for rate, own in zip(self.rates, self.generators, strict=True)
        ]
        return x * torch.stack(masks).to(x)
