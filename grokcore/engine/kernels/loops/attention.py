"""Attention of one query per row to a few memories, as loops; _attention.py and transformer.py have it in torch.

Rows of queries, keys and values are read where they lie in their tables, and gradients are added there, row after row
in order: nothing is looked up into a table of its own, and nothing collected afterwards.

Shapes: K runs, R rows, T rows of a table, H heads, B a head's width, D = H · B, J memories.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from grokcore.lazy_torch import torch
from grokcore.numerics.exponential import exponential
from grokcore.numerics.loops import floats, integers, loop, part, place
from grokcore.numerics.registers.products import dots

if TYPE_CHECKING:
    from torch import Tensor

Rows = tuple[int, int]
"""Where rows (K, L) lie: the address of the first, and how far apart runs begin."""
Tables = tuple[int, int, int]
"""Where tables (K, T, D) lie: the same, and how far apart rows begin."""
Places = tuple[int, int, int]
"""Which row of a table each row and memory means: the same, and how far apart memories are; 0: one for all."""

ENDLESS = 1 << 40
"""Elements of a memory that a loop counts through itself."""

SOME = 1024
"""Scores that are gone through together, so that they stay in the nearest cache."""

_u = np.uintp


@dataclass(frozen=True)
class Seen:
    """Which rows attend to which, and how much: what the way back needs, and no more than that."""

    own: Tensor
    """(K, R): the row of each query in its table; all rows in order, where there is no query."""
    index: Tensor
    """(K, J, R): the rows of the memories in theirs."""
    shares: Tensor
    """(K, J, R, H): the softmax of the scores."""
    attention: Tensor
    """(K, J, R, H): the shares, mixed with constant attention."""
    rate: float
    """α: the part of the attention that the scores decide."""


def weigh(scores: Tensor, rate: float, own: Tensor, index: Tensor) -> Seen:
    """Turn scores (K, J, R, H) in place into shares, and these into attention."""
    runs, seen, length, heads = scores.shape
    attention = scores if rate == 1 else torch.empty_like(scores)
    _weigh(rows(scores), rows(attention), rate, runs, seen, length * heads)
    return Seen(own, index, scores, attention, rate)


def attend(heads: int, rate: float, query: Tensor, memory: Tensor, own: Tensor, index: Tensor, out: Tensor) -> Seen:
    """Write the mixtures of values into `out` (K, R, D), of queries (K, T, D) and keys and values (K, T', 2 D)."""
    runs, seen, length = index.shape
    shares = query.new_empty(runs, seen, length, heads)
    attention = shares if rate == 1 else torch.empty_like(shares)
    weights = rows(shares), rows(attention)
    places = rows(own), rows(index)
    _attend(tables(query), tables(memory), *places, *weights, tables(out), rate, *_sizes(shares, query.shape[-1]))
    return Seen(own, index, shares, attention, rate)


def attend_back(
    seen: Seen, query: Tensor, memory: Tensor, at_mixed: Tensor, at_query: Tensor, at_memory: Tensor
) -> None:
    """Add the gradients at queries (K, T, D), keys and values (K, T', 2 D) to `at_query` and `at_memory`.

    `at_mixed` (K, R, D) is the gradient at the mixtures.
    """
    at_scores, order = torch.empty_like(seen.shares), torch.arange(seen.own.shape[1])
    weights = rows(seen.shares), rows(seen.attention), rows(at_scores)
    gradients = (tables(each) for each in (at_mixed, at_query, at_memory))
    places = rows(seen.own), rows(seen.index)
    every = order.data_ptr(), 0
    sizes = _sizes(seen.shares, query.shape[-1])
    _attend_back(tables(query), tables(memory), *places, *weights, *gradients, every, seen.rate, *sizes)


def attend_to_tables(scores: Tensor, values: Tensor, index: Tensor) -> tuple[Seen, Tensor]:
    """Return attention and mixtures of values (K, R, D), where scores are in a table (K, T, H) beside values (K, T, D).

    `index` (K, J, R) are the rows attended to.
    """
    runs, seen, length = index.shape
    found = scores.new_empty(runs, seen, length, scores.shape[-1])
    take(scores, index.flatten(1), found.flatten(1, 2))
    weighed = weigh(found, 1.0, torch.arange(length).expand(runs, -1), index)
    mixed = values.new_empty(runs, length, values.shape[-1])
    memory = rows(found), tables(values), rows(index), tables(mixed)
    _mix_alone(*memory, *_sizes(found, values.shape[-1]))
    return weighed, mixed


def attend_to_tables_back(seen: Seen, scores: Tensor, values: Tensor, at_mixed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of the tables of values and of scores, in this order."""
    at_values, at_table, at_scores = torch.zeros_like(values), torch.zeros_like(scores), torch.empty_like(seen.shares)
    weights = rows(seen.shares), rows(at_scores)
    memory = tables(values), rows(seen.own), rows(seen.index), *weights, tables(at_mixed), tables(at_values)
    _values_back(*memory, *_sizes(at_scores, values.shape[-1]))
    give(at_scores.flatten(1, 2), seen.index.flatten(1), at_table)
    return at_values, at_table


def take(table: Tensor, own: Tensor, out: Tensor) -> None:
    """Write the rows of a table (K, T, D) that are named (K, R) into `out` (K, R, D)."""
    _take(tables(table), rows(own), tables(out), *out.shape)


def give(x: Tensor, own: Tensor, total: Tensor) -> None:
    """Add x (K, R, D) to the rows of `total` (K, T, D) that are named (K, R)."""
    _give(tables(x), rows(own), tables(total), *x.shape)


def _sizes(attention: Tensor, width: int) -> tuple[int, int, int, int, int]:
    """Return runs, memories, rows, heads and a head's width."""
    runs, seen, length, heads = attention.shape
    return runs, seen, length, heads, width // heads


def rows(tensor: Tensor) -> Rows:
    """Return where the rows of a tensor (K, …) lie, each in one piece."""
    return place(tensor)


def tables(tensor: Tensor) -> Tables:
    """Return where tables (K, T, D) lie, each row in one piece."""
    apart, row, one = tensor.stride()
    if one != 1:
        raise ValueError(f"strides of {tensor.stride()}: elements of a row are not neighbours")
    return tensor.data_ptr(), apart, row


@part
def _numbers(at: Any) -> Any:
    """Return the memory from the first of some rows or tables on."""
    return floats((at[0], 0), 0, ENDLESS)


@part
def _indices(at: Any) -> Any:
    """Return the same of indices."""
    return integers((at[0], 0), 0, ENDLESS)


# Indices are unsigned, so that none has to be looked at for whether it counts from the end.


@part
def _softmax(scores: Rows, runs: int, seen: int, length: int) -> None:
    """Turn scores into shares, in place."""
    top, total = np.empty(SOME, np.float32), np.empty(SOME, np.float32)
    for k in range(runs):
        s = _numbers(scores)[k * scores[1] : k * scores[1] + seen * length]
        for start in range(0, length, SOME):
            n = min(SOME, length - start)
            top[:n] = s[start : start + n]
            total[:n] = 0
            for j in range(1, seen):
                row = s[j * length + start : j * length + start + n]
                for i in range(n):
                    top[i] = row[i] if row[i] > top[i] else top[i]
            for j in range(seen):
                row = s[j * length + start : j * length + start + n]
                for i in range(n):
                    power = exponential(row[i] - top[i])
                    row[i] = power
                    total[i] += power
            for j in range(seen):
                row = s[j * length + start : j * length + start + n]
                for i in range(n):
                    row[i] /= total[i]


@part
def _rest(shares: Any, attention: Any, rate: float, runs: int, length: int) -> None:
    """Write shares times the rate, and the rest, into `attention` where it is not the shares."""
    by, rest = np.float32(rate), np.float32(1 - rate)
    for k in range(runs if rate != 1 else 0):
        a, s = _numbers(attention)[k * attention[1] :][:length], _numbers(shares)[k * shares[1] :][:length]
        for i in range(length):
            a[i] = s[i] * by + rest


@part
def _softmax_back(gradient: Rows, shares: Rows, scale: float, runs: int, seen: int, length: int) -> None:
    """Turn gradients at the attention into those at the scores: ∂/∂s_j = a_j (g_j − Σ_i a_i g_i), times `scale`."""
    total, by = np.empty(SOME, np.float32), np.float32(scale)
    for k in range(runs):
        g = _numbers(gradient)[k * gradient[1] : k * gradient[1] + seen * length]
        a = _numbers(shares)[k * shares[1] : k * shares[1] + seen * length]
        for start in range(0, length, SOME):
            n = min(SOME, length - start)
            total[:n] = 0
            for j in range(seen):
                at, share = g[j * length + start :][:n], a[j * length + start :][:n]
                for i in range(n):
                    total[i] += share[i] * at[i]
            for j in range(seen):
                at, share = g[j * length + start :][:n], a[j * length + start :][:n]
                for i in range(n):
                    at[i] = by * (share[i] * (at[i] - total[i]))


@part
def _dots(  # noqa: PLR0917
    a: Tables,
    own: Rows,
    b: Tables,
    index: Rows,
    out: Rows,
    scale: float,
    runs: int,
    seen: int,
    length: int,
    heads: int,
    head: int,
) -> None:
    """Write the products of rows of a and b, head by head and times `scale`, from eight partial sums each."""
    places, mine, found = _indices(index), _indices(own), _numbers(out)
    by, totals = np.float32(scale), np.empty(heads, np.float32)
    for k in range(runs):
        for r in range(length):
            x = a[0] + 4 * (k * a[1] + mine[_u(k * own[1] + r)] * a[2])
            for j in range(seen):
                row = j * length + r
                y = b[0] + 4 * (k * b[1] + places[_u(k * index[1] + row)] * b[2])
                dots((x, y, heads, head, totals.ctypes.data))
                for h in range(heads):
                    found[_u(k * out[1] + row * heads + h)] = by * totals[_u(h)]


@part
def _mix(  # noqa: PLR0917
    attention: Rows,
    values: Tables,
    index: Rows,
    out: Tables,
    runs: int,
    seen: int,
    length: int,
    heads: int,
    head: int,
) -> None:
    """Write sums of rows of values, each with its attention, into `out`, two memories at a time."""
    n, h_n, head_n, j_n = _u(length), _u(heads), _u(head), _u(seen)
    w, v, places, o = _numbers(attention), _numbers(values), _indices(index), _numbers(out)
    for k in range(_u(runs)):
        weights, named = k * _u(attention[1]), k * _u(index[1])
        for r in range(n):
            to = k * _u(out[1]) + r * _u(out[2])
            for i in range(h_n * head_n):
                o[to + i] = 0
            for j in range(_u(0), j_n, _u(2)):
                alone = j + _u(1) == j_n
                other = j if alone else j + _u(1)
                x = k * _u(values[1]) + _u(places[named + j * n + r]) * _u(values[2])
                y = k * _u(values[1]) + _u(places[named + other * n + r]) * _u(values[2])
                for h in range(h_n):
                    at, s = h * head_n, w[weights + (j * n + r) * h_n + h]
                    t = np.float32(0) if alone else w[weights + (other * n + r) * h_n + h]
                    for i in range(head_n):
                        o[to + at + i] += s * v[x + at + i] + t * v[y + at + i]


@part
def _add(  # noqa: PLR0917
    weights: Rows,
    x: Tables,
    named: Places,
    total: Tables,
    to: Places,
    runs: int,
    seen: int,
    length: int,
    heads: int,
    head: int,
) -> None:
    """Add to rows of `total` rows of x, each with its weight: for each row and memory the ones that are named."""
    n, h_n, head_n = _u(length), _u(heads), _u(head)
    w, v, o, sources, goals = _numbers(weights), _numbers(x), _numbers(total), _indices(named), _indices(to)
    for k in range(_u(runs)):
        for r in range(n):
            for j in range(_u(seen)):
                source = k * _u(x[1]) + _u(sources[k * _u(named[1]) + j * _u(named[2]) + r]) * _u(x[2])
                goal = k * _u(total[1]) + _u(goals[k * _u(to[1]) + j * _u(to[2]) + r]) * _u(total[2])
                for h in range(h_n):
                    at, s = h * head_n, w[k * _u(weights[1]) + (j * n + r) * h_n + h]
                    for i in range(head_n):
                        o[goal + at + i] += s * v[source + at + i]


@loop
def _take(table: Tables, own: Rows, out: Tables, runs: int, length: int, width: int) -> None:
    """Do what `take` does."""
    t, mine, o, n = _numbers(table), _indices(own), _numbers(out), _u(width)
    for k in range(_u(runs)):
        for r in range(_u(length)):
            at = k * _u(table[1]) + _u(mine[k * _u(own[1]) + r]) * _u(table[2])
            to = k * _u(out[1]) + r * _u(out[2])
            for i in range(n):
                o[to + i] = t[at + i]


@loop
def _give(x: Tables, own: Rows, total: Tables, runs: int, length: int, width: int) -> None:
    """Do what `give` does."""
    t, mine, o, n = _numbers(x), _indices(own), _numbers(total), _u(width)
    for k in range(_u(runs)):
        for r in range(_u(length)):
            at = k * _u(x[1]) + r * _u(x[2])
            to = k * _u(total[1]) + _u(mine[k * _u(own[1]) + r]) * _u(total[2])
            for i in range(n):
                o[to + i] += t[at + i]


@loop
def _weigh(scores: Rows, attention: Rows, rate: float, runs: int, seen: int, length: int) -> None:
    """Do what `weigh` does."""
    _softmax(scores, runs, seen, length)
    _rest(scores, attention, rate, runs, seen * length)


@loop
def _mix_alone(  # noqa: PLR0917
    attention: Rows, values: Tables, index: Rows, out: Tables, runs: int, seen: int, length: int, heads: int, head: int
) -> None:
    """Write sums of rows of values, each with its attention."""
    _mix(attention, values, index, out, runs, seen, length, heads, head)


@loop
def _attend(  # noqa: PLR0917
    query: Tables,
    memory: Tables,
    own: Rows,
    index: Rows,
    shares: Rows,
    attention: Rows,
    out: Tables,
    rate: float,
    runs: int,
    seen: int,
    length: int,
    heads: int,
    head: int,
) -> None:
    """Do what `attend` does."""
    _dots(query, own, memory, index, shares, 1 / math.sqrt(head), runs, seen, length, heads, head)
    _softmax(shares, runs, seen, length * heads)
    _rest(shares, attention, rate, runs, seen * length * heads)
    values = (memory[0] + 4 * heads * head, memory[1], memory[2])
    _mix(attention, values, index, out, runs, seen, length, heads, head)


@loop
def _attend_back(  # noqa: PLR0917
    query: Tables,
    memory: Tables,
    own: Rows,
    index: Rows,
    shares: Rows,
    attention: Rows,
    at_scores: Rows,
    at_mixed: Tables,
    at_query: Tables,
    at_memory: Tables,
    every: Rows,
    rate: float,
    runs: int,
    seen: int,
    length: int,
    heads: int,
    head: int,
) -> None:
    """Do what `attend_back` does."""
    values = (memory[0] + 4 * heads * head, memory[1], memory[2])
    _dots(at_mixed, every, values, index, at_scores, 1.0, runs, seen, length, heads, head)
    _softmax_back(at_scores, shares, rate / math.sqrt(head), runs, seen, length * heads)
    each, mine = (index[0], index[1], length), (own[0], own[1], 0)
    _add(at_scores, memory, each, at_query, mine, runs, seen, length, heads, head)
    _add(at_scores, query, mine, at_memory, each, runs, seen, length, heads, head)
    at_values = (at_memory[0] + 4 * heads * head, at_memory[1], at_memory[2])
    _add(attention, at_mixed, (every[0], 0, 0), at_values, each, runs, seen, length, heads, head)


@loop
def _values_back(  # noqa: PLR0917
    values: Tables,
    own: Rows,
    index: Rows,
    shares: Rows,
    at_scores: Rows,
    at_mixed: Tables,
    at_values: Tables,
    runs: int,
    seen: int,
    length: int,
    heads: int,
    head: int,
) -> None:
    """Write the gradients at scores, and add those at values."""
    _dots(at_mixed, own, values, index, at_scores, 1.0, runs, seen, length, heads, head)
    _softmax_back(at_scores, shares, 1.0, runs, seen, length * heads)
    each = (index[0], index[1], length)
    _add(shares, at_mixed, (own[0], own[1], 0), at_values, each, runs, seen, length, heads, head)
