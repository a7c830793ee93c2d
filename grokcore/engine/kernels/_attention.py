"""Attention of one query per row to a few memories, forward and backward, by elementwise passes over the rows.

Sequences of algorithmic tasks have three to five positions: a product per example and head would be all overhead.
On a CPU each memory is passed over by itself, in the cache; where few large operations are wanted, all memories of a
row lie side by side and are passed over at once. In float32 a CPU does it by loops (loops/attention.py).

Shapes: K runs, R rows, D width, H heads, B = D/H, J memories. A memory is a key and a value side by side, (K, R, 2 D),
or (K, 1, 2 D) where all rows attend to the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grokcore.lazy_torch import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Mix:
    """What the backward pass needs of the forward pass."""

    query: Tensor
    """(K, R, H, B), over √B; or one row."""
    memories: Sequence[Tensor]
    """(K, R, 2, H, B) each, or one row; where they lie side by side, of one tensor (K, J, R, 2, H, B)."""
    stacked: Tensor | None
    """That tensor."""
    shares: Tensor
    """(K, J, R, H): the softmax of the scores."""
    attention: Tensor
    """(K, J, R, H): the shares, mixed with constant attention."""
    rate: float
    """α: the part of the attention that the scores decide."""

    @property
    def at_once(self) -> bool:
        """Say whether all memories are passed over at once."""
        return self.stacked is not None


def mix(
    heads: int, rate: float, query: Tensor, memories: Sequence[Tensor], out: Tensor, *, at_once: bool = False
) -> Mix:
    """Write the mixtures of values into `out` (K, R, D).

    `at_once`: by operations over all memories; the query is then over √B already, and so is its gradient to be.
    """
    head = query.shape[-1] // heads
    if at_once:
        return _mix_at_once(rate, query.unflatten(-1, (heads, head)), memories, out.unflatten(-1, (heads, head)))
    query = (query / math.sqrt(head)).view(*query.shape[:2], heads, head)
    by_head = [memory.view(*memory.shape[:2], 2, heads, head) for memory in memories]
    scores = query.new_empty(len(out), len(memories), out.shape[1], heads)
    for j, memory in enumerate(by_head):
        scores[:, j] = (query * memory[:, :, 0]).sum(-1)
    shares = scores.softmax(1)
    attention = shares if rate == 1 else shares * rate + (1 - rate)
    mixed = out.unflatten(-1, (heads, head))
    torch.mul(attention[:, 0].unsqueeze(-1), by_head[0][:, :, 1], out=mixed)
    for j, memory in enumerate(by_head[1:], start=1):
        mixed.addcmul_(attention[:, j].unsqueeze(-1), memory[:, :, 1])
    return Mix(query, by_head, None, shares, attention, rate)


def _mix_at_once(rate: float, query: Tensor, memories: Sequence[Tensor], mixed: Tensor) -> Mix:
    runs, rows, heads, head = mixed.shape
    side_by_side = torch.stack([memory.expand(runs, rows, -1) for memory in memories], dim=1)
    stacked = side_by_side.view(runs, len(memories), rows, 2, heads, head)
    keys, values = stacked.unbind(3)
    shares = (query.unsqueeze(1) * keys).sum(-1).softmax(1)
    attention = shares if rate == 1 else shares * rate + (1 - rate)
    torch.sum(attention.unsqueeze(-1) * values, 1, out=mixed)
    return Mix(query, stacked.unbind(1), stacked, shares, attention, rate)


def mix_back(seen: Mix, at_mixed: Tensor, totals: dict[Any, Tensor], own: Sequence[Any]) -> Tensor:
    """Return the gradient at the query (K, R, D), and add those at the memories to those of `totals` (K, R, 2 D each).

    `at_mixed` (K, R, D) is the gradient at the mixtures, `own` which of the totals are the memories'; where memories
    lie side by side, one that has no total yet gets it.
    """
    heads, head = seen.query.shape[2:]
    at_mixed = at_mixed.unflatten(-1, (heads, head))
    if seen.stacked is not None:
        return _back_at_once(seen, seen.stacked, at_mixed, totals, own).flatten(2)
    at_scores = torch.empty_like(seen.shares)
    for j, memory in enumerate(seen.memories):
        at_scores[:, j] = (at_mixed * memory[:, :, 1]).sum(-1)
    # Back through the softmax: ∂/∂s_j = a_j (g_j − Σ_i a_i g_i).
    at_scores = seen.shares * (at_scores - (seen.shares * at_scores).sum(1, keepdim=True)) * seen.rate
    to_query = at_scores[:, 0].unsqueeze(-1) * seen.memories[0][:, :, 0]
    for j, (memory, name) in enumerate(zip(seen.memories, own, strict=True)):
        at_score = at_scores[:, j].unsqueeze(-1)
        if j:
            to_query.addcmul_(at_score, memory[:, :, 0])
        to_memory = totals[name].view(*totals[name].shape[:2], 2, heads, head)
        to_memory[:, :, 0].addcmul_(at_score, seen.query)
        to_memory[:, :, 1].addcmul_(seen.attention[:, j].unsqueeze(-1), at_mixed)
    return to_query.div_(math.sqrt(head)).flatten(2)


def _back_at_once(
    seen: Mix, stacked: Tensor, at_mixed: Tensor, totals: dict[Any, Tensor], own: Sequence[Any]
) -> Tensor:
    """Do what `mix_back` does, for all memories at once; the gradient at the query is that at the divided one."""
    keys, values = stacked.unbind(3)
    at_shares = (at_mixed.unsqueeze(1) * values).sum(-1)
    at_scores = torch._softmax_backward_data(at_shares, seen.shares, 1, at_shares.dtype)
    if seen.rate != 1:
        at_scores.mul_(seen.rate)
    at_memories = torch.empty_like(stacked)
    torch.mul(at_scores.unsqueeze(-1), seen.query.unsqueeze(1), out=at_memories[:, :, :, 0])
    torch.mul(seen.attention.unsqueeze(-1), at_mixed.unsqueeze(1), out=at_memories[:, :, :, 1])
    for name, at_memory in zip(own, at_memories.flatten(3).unbind(1), strict=True):
        totals[name] = totals[name].add_(at_memory) if name in totals else at_memory
    return (at_scores.unsqueeze(-1) * keys).sum(1)
