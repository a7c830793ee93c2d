"""Attention on a grid: states that depend on few operands are tables along few axes, and are never written out.

Every tensor has the axes of the grid, one for each operand, of size 1 where it does not depend on the operand; what
meets is broadcast. A gradient comes back as a sum over the axes that its tensor does not have. Positions that have read
the same operands attend together; whoever stands before what is attended to has no share in it.

With scores s_j = q · k_j / √B of a position for those up to it, shares a = softmax(s), attention r a + (1 − r) and the
mixture z = Σ_j attention_j v_j, the way back is, with g_j = ∂z · v_j,

    ∂s_j = r a_j (g_j − Σ_i a_i g_i),   ∂q = Σ_j ∂s_j k_j / √B,   ∂k_j = ∂s_j q / √B,   ∂v_j = attention_j ∂z.

Shapes: K runs, A positions that attend together, … the axes of the grid, H heads, B = D/H, J positions attended to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """What the backward pass needs of the forward pass."""

    values: list[Tensor]
    """(K, 1, …, H, B) each."""
    shares: Tensor
    """(K, J, A, …, H): the softmax of the scores."""
    attention: Tensor
    """(K, J, A, …, H): the shares, mixed with constant attention."""
    rate: float
    """The part of the attention that the scores decide."""


def missing_axes(have: Sequence[int], want: Sequence[int]) -> list[int]:
    """Return the axes where `want` has size 1 and `have` has more."""
    return [axis for axis, (a, b) in enumerate(zip(have, want, strict=True)) if b == 1 != a]


def sum_into(out: Tensor, value: Tensor, *, first: bool) -> None:
    """Write a value into `out`, or add it unless `first`, summed over the axes that `out` does not have."""
    axes = missing_axes(value.shape, out.shape)
    if not axes:
        out.copy_(value) if first else out.add_(value)
    elif first:
        torch.sum(value, axes, keepdim=True, out=out)
    else:
        out.add_(value.sum(axes, keepdim=True))


def mix(rate: float, scores: Tensor, masked: Tensor | None, values: list[Tensor], out: Tensor) -> Mixture:
    """Write the mixture of values (K, 1, …, H, B each) into `out` (K, A, …, H, B).

    `scores` are (K, J, A, …, H) and may be overwritten; `masked`, broadcast, says who does not see what.
    """
    shares = (scores if masked is None else scores.masked_fill_(masked, -torch.inf)).softmax(1)
    attention = shares if rate == 1 else shares * rate + (1 - rate)
    if rate != 1 and masked is not None:
        attention = attention.masked_fill_(masked, 0.0)
    torch.mul(attention[:, 0].unsqueeze(-1), values[0], out=out)
    for j, value in enumerate(values[1:], start=1):
        out.addcmul_(attention[:, j].unsqueeze(-1), value)
    return Mixture(values, shares, attention, rate)


def scores_back(seen: Mixture, delta: Tensor) -> Tensor:
    """Return the gradient at the scores, (K, J, A, …, H); `delta` (K, A, …, H, B) is that at the mixture."""
    at_attention = torch.stack([(delta * value).sum(-1) for value in seen.values], dim=1)
    at_scores = seen.shares * (at_attention - (seen.shares * at_attention).sum(1, keepdim=True))
    return at_scores if seen.rate == 1 else at_scores.mul_(seen.rate)
