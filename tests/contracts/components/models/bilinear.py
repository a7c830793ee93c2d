"""Bilinear: logits are products of the two operands' embeddings, read out."""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge

from grokcore.models.base import Model, untouched


@dataclass(frozen=True, kw_only=True)
class Bilinear(Model):
    """z = (E_a ⊙ E_b) U."""

    width: Annotated[int, Ge(1)] = 32
    """Width of the embedding."""

    def shapes(self, task):
        return {"embedding": (task.table.symbols, self.width), "unembedding": (self.width, task.table.classes)}

    def initial(self, task, generator):
        return {
            name: torch.randn(shape, generator=generator, dtype=torch.float64) / math.sqrt(self.width)
            for name, shape in self.shapes(task).items()
        }

    def forward(self, task, parameters, inputs, tap=untouched):
        rows = torch.stack([table[own] for table, own in zip(parameters["embedding"], inputs, strict=True)])
        first, second = tap("operands", rows).unbind(2)
        neurons = tap("neurons_0", tap("before_0", first) * second)
        return neurons @ parameters["unembedding"]

    def embedding(self, task, parameters):
        return parameters["embedding"]

    @property
    def hidden_layers(self):
        return 1

    @property
    def shares_embedding(self):
        return True
