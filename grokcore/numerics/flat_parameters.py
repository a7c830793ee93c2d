"""Flat parameters: where each lies in a run's flat vector, so that an update is a few operations on (K, length)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.numerics.vectors import VECTOR

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FlatParameters:
    """Names, shapes and offsets of a model's parameters."""

    shapes: Mapping[str, tuple[int, ...]]
    """Shape of every parameter of one run."""
    offsets: Mapping[str, int]
    """First element of every parameter in the flat vector."""
    length: int
    """Elements of a run's flat vector, gaps included."""

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]]) -> FlatParameters:
        """Lay the parameters out one after another, aligned."""
        offsets, end = {}, 0
        for name, shape in shapes.items():
            offsets[name] = end
            end += -(-math.prod(shape) // VECTOR) * VECTOR
        return cls(dict(shapes), offsets, end)

    def part(self, name: str) -> slice:
        """Return the elements of the flat vector that a parameter has for itself, its gap included."""
        start = self.offsets[name]
        return slice(start, start + -(-math.prod(self.shapes[name]) // VECTOR) * VECTOR)

    def real_elements(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Return 1 where an element is a parameter's and 0 where it is a gap: (length,)."""
        real = torch.zeros(self.length, device=device, dtype=dtype)
        for name, offset in self.offsets.items():
            real[offset : offset + math.prod(self.shapes[name])] = 1
        return real

    def members(self, device: torch.device) -> Tensor:
        """Return which parameter each element belongs to: (length, parameters) float64, ones and zeros."""
        found = torch.zeros(self.length, len(self.shapes), device=device, dtype=torch.float64)
        for i, (name, offset) in enumerate(self.offsets.items()):
            found[offset : offset + math.prod(self.shapes[name]), i] = 1
        return found

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Return every parameter as a view (K, *shape) of `flat` (K, length)."""
        return {
            name: flat[:, offset : offset + math.prod(self.shapes[name])].unflatten(1, self.shapes[name])
            if self.shapes[name]
            else flat[:, offset]
            for name, offset in self.offsets.items()
        }

    def pack(self, runs: list[dict[str, Tensor]], dtype: torch.dtype) -> Tensor:
        """Return the flat vectors (K, length) of runs given as name to tensor; gaps are zero."""
        flat = torch.zeros(len(runs), self.length, dtype=dtype)
        for row, run in zip(flat.unsqueeze(1), runs, strict=True):
            for name, view in self.views(row).items():
                view.copy_(run[name].unsqueeze(0))
        return flat
