"""Loops of attention do what torch's operations do in float64, and the same for a run whoever is beside it."""

from __future__ import annotations

import pytest
import torch

from grokcore.engine.kernels._attention import mix, mix_back
from grokcore.engine.kernels.loops import attention as loops

CASES = [
    # runs, rows, heads, a head's width, memories, rate
    (2, 40, 4, 32, 3, 1.0),
    (3, 33, 2, 8, 4, 0.7),
    (1, 7, 1, 20, 2, 1.0),
    (2, 5, 3, 1, 1, 0.4),
]


def _drawn(case, seed=0):
    """Return queries, memories, which rows attend to which of them, and a gradient at their mixtures."""
    runs, length, heads, head, seen, _ = case
    drawn = torch.Generator().manual_seed(seed)
    width, table = heads * head, 11
    query = torch.randn(runs, table, width, generator=drawn)
    memory = torch.randn(runs, table, 2 * width, generator=drawn)
    index = torch.randint(0, table, (runs, seen, length), generator=drawn)
    return query, memory, index, torch.randn(runs, length, width, generator=drawn)


def _by_loops(case, query, memory, index, at_mixed):
    _, _, heads, _, _, rate = case
    out, at_query, at_memory = torch.empty_like(at_mixed), torch.zeros_like(query), torch.zeros_like(memory)
    seen = loops.attend(heads, rate, query, memory, index[:, -1], index, out)
    loops.attend_back(seen, query, memory, at_mixed, at_query, at_memory)
    return out, at_query, at_memory


def _by_torch(case, query, memory, index, at_mixed):
    """Look up, mix and go back by torch's operations, and hand back row by row."""
    _, _, heads, _, _, rate = case
    query, memory, at_mixed = query.double(), memory.double(), at_mixed.double()
    runs = torch.arange(len(query))[:, None]
    asking, found = query[runs, index[:, -1]], [memory[runs, own] for own in index.unbind(1)]
    out, totals = torch.empty_like(at_mixed), {j: torch.zeros_like(each) for j, each in enumerate(found)}
    back = mix_back(mix(heads, rate, asking, found, out), at_mixed, totals, list(totals))
    at_query = torch.zeros_like(query).index_put((runs, index[:, -1]), back, accumulate=True)
    at_memory = torch.zeros_like(memory)
    for j, total in totals.items():
        at_memory.index_put_((runs, index[:, j]), total, accumulate=True)
    return out, at_query, at_memory


@pytest.mark.parametrize("case", CASES)
def test_attention_and_its_gradients_are_those_of_torchs_operations(case):
    drawn = _drawn(case)
    for found, expected in zip(_by_loops(case, *drawn), _by_torch(case, *drawn), strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("case", CASES)
def test_a_runs_bits_do_not_depend_on_who_is_beside_it_nor_on_where_its_rows_lie(case):
    query, memory, index, at_mixed = _drawn(case)
    wide = torch.zeros(*query.shape[:2], query.shape[2] + 5)[..., 3:-2].copy_(query)
    far = torch.zeros(len(memory), memory.shape[1] + 2, memory.shape[2])[:, 1:-1].copy_(memory)
    together = _by_loops(case, wide, far, index, at_mixed)
    for k in range(len(query)):
        alone = _by_loops(case, *(each[k : k + 1].clone() for each in (query, memory, index, at_mixed)))
        assert all(torch.equal(one[0], all_[k]) for one, all_ in zip(alone, together, strict=True))


def test_scores_and_values_of_tables_are_those_of_torchs_operations():
    runs, table, heads, head, seen, length = 2, 9, 4, 8, 3, 50
    drawn = torch.Generator().manual_seed(1)
    scores = 5 * torch.randn(runs, table, heads, generator=drawn)
    values = torch.randn(runs, table, heads * head, generator=drawn)
    index = torch.randint(0, table, (runs, seen, length), generator=drawn)
    at_mixed = torch.randn(runs, length, heads * head, generator=drawn)
    weighed, mixed = loops.attend_to_tables(scores, values, index)
    found = mixed, *loops.attend_to_tables_back(weighed, scores, values, at_mixed)
    exact = scores.double().requires_grad_(), values.double().requires_grad_()
    each = torch.arange(runs)[:, None, None]
    shares = exact[0][each, index].softmax(1).unsqueeze(-1)
    expected = (shares * exact[1][each, index].unflatten(-1, (heads, head))).sum(1).flatten(2)
    expected.backward(at_mixed.double())
    for one, other in zip(found, (expected, exact[1].grad, exact[0].grad), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 300.0])
def test_shares_are_the_softmax_of_scores_near_and_far(scale):
    scores = scale * torch.randn(2, 4, 300, 4, generator=torch.Generator().manual_seed(2))
    exact = scores.double().softmax(1)
    every, index = torch.arange(300).expand(2, -1), torch.zeros(2, 4, 300, dtype=torch.long)
    found = loops.weigh(scores.clone(), 1.0, every, index).shares.double()
    torch.testing.assert_close(found, exact, rtol=2e-6 + scale * 2**-21, atol=1.2e-38)


@pytest.mark.parametrize("which", [0, 2])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_makes_its_rows_shares_none(which, bad):
    scores = torch.zeros(1, 3, 4, 2)
    scores[0, which, 1, 0] = bad
    every, index = torch.arange(4).expand(1, -1), torch.zeros(1, 3, 4, dtype=torch.long)
    shares = loops.weigh(scores.clone(), 1.0, every, index).shares
    torch.testing.assert_close(shares, scores.softmax(1), rtol=1e-6, atol=0, equal_nan=True)


def test_rows_are_taken_and_given_back():
    table = torch.arange(12.0).view(1, 4, 3)
    own = torch.tensor([[2, 0, 2]])
    out, total = torch.empty(1, 3, 3), torch.zeros(1, 4, 3)
    loops.take(table, own, out)
    loops.give(out, own, total)
    assert torch.equal(out, table[:, [2, 0, 2]])
    assert torch.equal(total[0], torch.stack([table[0, 0], torch.zeros(3), 2 * table[0, 2], torch.zeros(3)]))
