"""Decoder: the toy of Liu et al. 2022 (arXiv 2205.10343), which puts symbols on a line and decodes their sum.

Its authors give the embedding an AdamW of its own (rate 1e-3, decay 0): `optimizer.embedding_rate`, `embedding_decay`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from grokcore.lazy_torch import torch
from grokcore.models.mlp import MLP
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Decoder(MLP):
    """An MLP of the sum of one-dimensional embeddings, 1 → 200 → 200 → 30 with tanh, that regresses to templates.

    Embeddings begin uniform in ±½, everything else as in `mlp`.
    """

    width: Annotated[int, Ge(1)] = 200
    """Neurons of each hidden layer."""
    depth: Annotated[int, Ge(1)] = 2
    """Hidden layers."""
    activation: Literal["relu", "gelu", "quadratic", "tanh"] = "tanh"
    """Nonlinearity after each hidden layer."""
    inputs: Literal["one_hot", "embedding", "real"] = "embedding"
    """What the first layer reads; here learned embeddings."""
    embedding_width: Annotated[int, Ge(1)] | None = 1
    """Width of the embeddings."""
    outputs: Literal["classes", "templates"] = "templates"
    """Whether a vector is regressed to, or classes are told apart."""

    def initial(self, task: Task, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw as an MLP does, and the embedding uniformly."""
        drawn = super().initial(task, generator)
        if "embedding" in drawn:
            drawn["embedding"] = torch.rand(drawn["embedding"].shape, generator=generator, dtype=torch.float64) - 0.5
        return drawn
