"""Largest weight: how far the weight farthest from zero is."""

import torch

from grokcore.measures.base import Measure


class LargestWeight(Measure):
    """max |θ_i| over all parameters; where it grows while the norm falls, a few weights do the work."""

    cost = "light"

    def compute(self, view):
        return torch.stack([value.flatten(1).abs().amax(1) for value in view.parameters.values()]).amax(0)
