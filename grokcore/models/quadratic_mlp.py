"""Quadratic MLP: the network of Gromov 2023 (arXiv 2301.02679), whose solution of modular addition is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from grokcore.lazy_torch import torch
from grokcore.models.mlp import MLP
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor

NEURONS = 6
"""Fewest neurons of each frequency that the analytic solution takes."""


@dataclass(frozen=True, kw_only=True)
class QuadraticMLP(MLP):
    """W₂ (W₁ [one-hot a, one-hot b])², without biases; trained on mean squares without regularisation.

    Initial weights are standard normal over the root of the inputs (first layer) and over the width (second layer):
    Gromov's mean-field scaling, moved from the network into its weights.
    """

    width: Annotated[int, Ge(1)] = 500
    """Neurons of the hidden layer."""
    depth: Literal[1] = 1
    """Hidden layers."""
    activation: Literal["quadratic"] = "quadratic"
    """x²."""
    inputs: Literal["one_hot"] = "one_hot"
    """What the first layer reads."""
    embedding_width: None = None
    """Nothing is embedded."""
    combine: Literal["concat"] = "concat"
    """Operands stand side by side."""
    bias: Literal[False] = False
    """There are no biases."""
    outputs: Literal["classes"] = "classes"
    """One output per class."""

    def initial(self, task: Task, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw the weights."""
        (inputs, width), (_, classes) = self.layers(task)
        first = torch.randn(inputs, width, generator=generator, dtype=torch.float64)
        second = torch.randn(width, classes, generator=generator, dtype=torch.float64)
        return {"weight_0": first / math.sqrt(inputs), "weight_1": second / width}

    def analytic(self, task: Task, generator: torch.Generator) -> dict[str, Tensor]:
        """Return Gromov's solution of a + b mod p: neuron n adds up the angles of its frequency k.

        First layer cos(2πk a/p + φ) beside cos(2πk b/p + ψ), second layer cos(2πk c/p + φ + ψ): of the square only the
        product of the cosines survives the sum over a frequency's neurons, and leaves Σ_k cos(2πk (a + b − c)/p), which
        is largest at c = a + b. With Gromov's random phases it does so for wide networks; here a frequency's phases are
        spread evenly, φ = 2πj/n and ψ = r φ, and rotated at random: all other products, whose phases go with 2φ, 2ψ,
        φ ± ψ, 2 (φ + ψ), 3φ + ψ and φ + 3ψ, cancel exactly if n divides none of these multiples of j. That takes six
        neurons of each frequency (r = 4; 3 for seven, 2 for more). The right output is 1.
        """
        p, count = task.table.symbols, task.table.symbols // 2
        neurons = torch.arange(self.width)
        own, places = neurons % count, neurons // count
        sizes = torch.bincount(own, minlength=count)[own].double()
        turns = torch.where(sizes == 6, 4, torch.where(sizes == 7, 3, 2))
        rotations = torch.rand(2, count, generator=generator, dtype=torch.float64)[:, own]
        phases = 2 * math.pi * (rotations + places * torch.stack([torch.ones_like(turns), turns]) / sizes)
        angles = 2 * math.pi * torch.arange(p, dtype=torch.float64)[:, None] * (1 + own) / p
        first = torch.cat([torch.cos(angles + phases[0]), torch.cos(angles + phases[1])])
        second = torch.cos(angles + phases.sum(0)).T
        return {"weight_0": first, "weight_1": second * (2 / (count * sizes[:, None]))}
