"""Attention of one query per row to a few memories, forward and backward, by elementwise passes over the rows.

Sequences of algorithmic tasks have three to five positions: a product per example and head would be all overhead.

Shapes: K runs, R rows, D width, H heads, B = D/H, J memories. A memory is a key and a value side by side, (K, R, 2 D),
or (K, 1, 2 D) where all rows attend to the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mix:
    """What the backward pass needs of the forward pass."""

    query: Tensor
    """(K, R, H, B), over √B; or one row."""
    memories: list[Tensor]
    """(K, R, 2, H, B) each, or one row."""
    shares: Tensor
    """(K, J, R, H): the softmax of the scores."""
    attention: Tensor
    """(K, J, R, H): the shares, mixed with constant attention."""
    rate: float
    """α: the part of the attention that the scores decide."""


def mix(heads: int, rate: float, query: Tensor, memories: Sequence[Tensor], out: Tensor) -> Mix:
    """Write the mixtures of values into `out` (K, R, D)."""
    head = query.shape[-1] // heads
    by_head = [memory.view(*memory.shape[:2], 2, heads, head) for memory in memories]
    query = (query / math.sqrt(head)).view(*query.shape[:2], heads, head)
    scores = query.new_empty(len(out), len(memories), out.shape[1], heads)
    for j, memory in enumerate(by_head):
        scores[:, j] = (query * memory[:, :, 0]).sum(-1)
    shares = scores.softmax(1)
    attention = shares if rate == 1 else shares * rate + (1 - rate)
    mixed = out.unflatten(-1, (heads, head))
    torch.mul(attention[:, 0].unsqueeze(-1), by_head[0][:, :, 1], out=mixed)
    for j, memory in enumerate(by_head[1:], start=1):
        mixed.addcmul_(attention[:, j].unsqueeze(-1), memory[:, :, 1])
    return Mix(query, by_head, shares, attention, rate)


def mix_back(seen: Mix, at_mixed: Tensor, totals: Sequence[Tensor]) -> Tensor:
    """Return the gradient at the query (K, R, D), and add those at the memories to `totals` (K, R, 2 D each).

    `at_mixed` (K, R, D) is the gradient at the mixtures.
    """
    heads, head = seen.query.shape[2:]
    at_mixed = at_mixed.unflatten(-1, (heads, head))
    at_scores = torch.empty_like(seen.shares)
    for j, memory in enumerate(seen.memories):
        at_scores[:, j] = (at_mixed * memory[:, :, 1]).sum(-1)
    # Back through the softmax: ∂/∂s_j = a_j (g_j − Σ_i a_i g_i).
    at_scores = seen.shares * (at_scores - (seen.shares * at_scores).sum(1, keepdim=True)) * seen.rate
    to_query = at_scores[:, 0].unsqueeze(-1) * seen.memories[0][:, :, 0]
    for j, (memory, total) in enumerate(zip(seen.memories, totals, strict=True)):
        own = at_scores[:, j].unsqueeze(-1)
        if j:
            to_query.addcmul_(own, memory[:, :, 0])
        to_memory = total.view(*total.shape[:2], 2, heads, head)
        to_memory[:, :, 0].addcmul_(own, seen.query)
        to_memory[:, :, 1].addcmul_(seen.attention[:, j].unsqueeze(-1), at_mixed)
    return to_query.div_(math.sqrt(head)).flatten(2)
