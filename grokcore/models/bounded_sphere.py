"""Bounded sphere: a transformer whose residual stream stays on the unit sphere (Yıldırım 2026, arXiv 2603.05228).

Shapes: K runs, N examples, P positions, V vocabulary, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from grokcore.lazy_torch import torch
from grokcore.models.base import Parameters, Tap, untouched
from grokcore.models.transformer import Transformer
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class BoundedSphere(Transformer):
    """x = u(E + P); x = u(x + attention(x)); x = u(x + MLP(x)); …; logits = sharpness · x u(U), where u(x) = x / ‖x‖.

    So no length of the stream or of the unembedding's columns can grow. Everything else is the transformer's.
    """

    sharpness: Annotated[float, Gt(0)] = 10.0
    """What cosines are multiplied by to give logits: the paper's fixed temperature, inverted."""

    def complaints(self) -> Iterator[str]:
        """Yield that the stream is normalised already."""
        yield from super().complaints()
        if self.norm != "none":
            yield f'norm = "{self.norm}": the residual stream stays on the unit sphere as it is; leave it out.'

    def forward(self, task: Task, parameters: Parameters, inputs: Tensor, tap: Tap = untouched) -> Tensor:
        """Return logits (K, N, V) of operands (K, N, P'): every layer at every position."""
        w = parameters
        tokens = self.tokens(inputs, self.vocabulary(task))
        runs = torch.arange(len(inputs), device=inputs.device)[:, None, None]
        x = tap("operands", w["embedding"][runs, tokens]) + self.places(w, tokens.shape[-1]).unsqueeze(1)
        return self.blocks(w, torch.nn.functional.normalize(x, dim=-1), tap)

    def normalised(self, w: Parameters, names: dict[str, str], which: str, x: Tensor) -> Tensor:  # noqa: ARG002
        """Return x (K, …, D) at length 1."""
        return torch.nn.functional.normalize(x, dim=-1)

    def read_out(self, w: Parameters, x: Tensor) -> Tensor:
        """Return the logits (K, N, V) of the last position's residual stream (K, N, D)."""
        columns = w["embedding"].mT if self.tied else w["unembedding"]
        return self.sharpness * (x @ torch.nn.functional.normalize(columns, dim=1))
