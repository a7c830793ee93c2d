"""The first layer's loops do what embedding bags do there and back, to the last bit where the order is the same."""

from __future__ import annotations

import pytest
import torch

from grokcore.data.batch import Batch
from grokcore.engine.cohort import Cohort
from grokcore.engine.kernels._first_layer import Bags, LoopedTables
from grokcore.numerics import loops
from grokcore.run_config import RunConfig

WAYS = [(1, True), (1, False), (2, True), (2, False), (3, True), (5, False)]
"""Positions, and whether they share a table."""


def _drawn(runs, positions, *, shared, examples=96, symbols=7, width=20):
    drawn = torch.Generator().manual_seed(positions)
    weights = torch.rand(runs, examples, generator=drawn)
    weights[:, -5:] = 0.0
    inputs = torch.randint(0, symbols, (runs, examples, positions), generator=drawn)
    batch = Batch(inputs, torch.zeros(runs, examples, dtype=torch.long), weights)
    tables = torch.randn(runs, symbols * (1 if shared else positions), width, generator=drawn)
    bias, delta = torch.randn(runs, width, generator=drawn), torch.randn(runs, examples, width, generator=drawn)
    layers = Bags(positions, symbols, shared=shared), LoopedTables(batch, symbols, width, shared=shared)
    return batch, tables, bias, delta, *layers


@pytest.mark.parametrize(("positions", "shared"), WAYS)
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("biased", [True, False])
def test_sums_of_rows_are_those_of_bags(positions, shared, relu, biased):
    batch, tables, bias, _, bags, looped = _drawn(3, positions, shared=shared)
    part, bias = slice(32, 96), bias if biased else None
    exact = bags.forward(tables.double(), None if bias is None else bias.double(), batch, part)
    found = looped.forward(tables, bias, part, torch.empty(3, 64, 20), relu=relu)
    torch.testing.assert_close(found.double(), exact.clamp_min(0) if relu else exact, rtol=2e-6, atol=1e-6)
    assert (found == 0).any() == relu


@pytest.mark.parametrize(("positions", "shared"), WAYS)
@pytest.mark.parametrize("relu", [True, False])
def test_table_rows_collect_what_bags_do_chunk_by_chunk(positions, shared, relu):
    batch, tables, bias, delta, bags, looped = _drawn(3, positions, shared=shared)
    after = bags.forward(tables, bias, batch, slice(0, 96)).clamp_min_(0)
    through = torch.where(after > 0, delta, 0.0) if relu else delta
    exact = bags.backward(through.double(), batch).flatten(1, 2)
    total = torch.zeros_like(tables)
    for part in (slice(0, 32), slice(32, 96)):
        looped.collect(delta[:, part].contiguous(), after[:, part].contiguous(), part, total, relu=relu)
    torch.testing.assert_close(total.double(), exact, rtol=1e-5, atol=1e-5)
    whole = torch.zeros_like(tables)
    looped.collect(delta, after, slice(0, 96), whole, relu=relu)
    assert torch.equal(whole, total)


def test_a_runs_bits_do_not_depend_on_who_is_beside_it_nor_on_where_its_tables_lie():
    batch, tables, bias, delta, _, looped = _drawn(4, 2, shared=True)
    flat = torch.zeros(4, 7 * 20 + 52)
    flat[:, 20:160] = tables.flatten(1)
    own = flat[:, 20:160].unflatten(1, (7, 20))
    found = looped.forward(own, bias, slice(0, 96), torch.empty(4, 96, 20), relu=True)
    total = torch.zeros_like(tables)
    looped.collect(delta, found, slice(0, 96), total, relu=True)
    for k in range(4):
        alone = LoopedTables(batch.of_runs(slice(k, k + 1)), 7, 20, shared=True)
        one = alone.forward(tables[k : k + 1], bias[k : k + 1], slice(0, 96), torch.empty(1, 96, 20), relu=True)
        assert torch.equal(one[0], found[k])
        sums = torch.zeros(1, 7, 20)
        alone.collect(delta[k : k + 1], one, slice(0, 96), sums, relu=True)
        assert torch.equal(sums[0], total[k])


def test_inputs_that_all_runs_share_are_kept_once():
    batch, tables, bias, _, bags, _ = _drawn(3, 2, shared=False)
    inputs = batch.inputs[:1].expand(3, -1, -1)
    shared = Batch(inputs, batch.targets, batch.weights)
    looped = LoopedTables(shared, 7, 20, shared=False)
    assert looped.places.stride(0) == 0
    found = looped.forward(tables, bias, slice(0, 96), torch.empty(3, 96, 20), relu=False)
    torch.testing.assert_close(found, bags.forward(tables, bias, shared, slice(0, 96)))


def test_what_is_no_number_comes_through():
    _, tables, bias, _, _, looped = _drawn(1, 2, shared=True)
    tables[0, 3, 4] = torch.nan
    found = looped.forward(tables, bias, slice(0, 96), torch.empty(1, 96, 20), relu=True)
    uses = (looped.places.view(96, 2) == 3).any(1)
    assert torch.equal(found[0, :, 4].isnan(), uses)
    assert found[0, :, :4].isfinite().all()


@pytest.mark.parametrize("activation", ["relu", "gelu", "quadratic", "tanh"])
@pytest.mark.parametrize("inputs", ["one_hot", "embedding"])
@pytest.mark.parametrize("combine", ["sum", "concat"])
@pytest.mark.parametrize("batch", ["full", 20])
def test_a_network_has_the_gradients_it_has_without_loops(activation, inputs, combine, batch, monkeypatch):
    model = {"name": "mlp", "width": 16, "activation": activation, "inputs": inputs, "combine": combine, "depth": 2}
    config = RunConfig.from_dict(
        {
            "task": {"name": "modular_addition", "modulus": 7},
            "model": model,
            "optimizer": {"name": "adamw"},
            "fraction": 0.6,
            "batch": batch,
            "steps": 10,
        }
    )

    def gradients():
        cohort = Cohort([config] * 2)
        cohort.stack.examples.begin([0])
        with torch.no_grad():
            cohort.kernel.gradients(cohort.parameters, cohort.stack.examples.batch(0), cohort.stack.gradients)
            losses, _ = cohort.stack.examine()
        return cohort.stack.gradient.clone(), losses

    found, losses = gradients()
    monkeypatch.setattr(loops, "loops_by", lambda: "torch")
    expected, exactly = gradients()
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(losses, exactly, rtol=1e-5, atol=1e-6)
