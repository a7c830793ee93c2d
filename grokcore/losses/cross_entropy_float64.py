"""Cross-entropy by torch's softmax in float64: which collapses late, at twice the cost (docs/numerics.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from grokcore.lazy_torch import torch
from grokcore.losses._plain_cross_entropy import PlainCrossEntropy


@dataclass(frozen=True, kw_only=True)
class CrossEntropyFloat64(PlainCrossEntropy):
    """−log softmax(z)_y, computed in float64 (Prieto et al. 2025, arXiv 2501.04697, compare the two)."""

    PRECISION: ClassVar[torch.dtype] = torch.float64
