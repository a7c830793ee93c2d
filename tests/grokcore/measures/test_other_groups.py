"""Circuits in groups other than residues under addition: planted in discrete logarithms and in products of groups."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from grokcore.measures.ablation import damage
from grokcore.tasks.base import TASKS
from grokcore.views.characters import characters

LOGARITHMS = {pow(2, j, 13): j for j in range(12)}
"""Of the units mod 13, to the primitive root 2."""


def logits_of(task, wave, junk=0.0):
    """Return wave(target − c) over the group for pairs of its elements, and junk for others: (1, N, C)."""
    table = torch.zeros(len(task.table.targets), task.table.classes, dtype=torch.float64)
    for row, (inputs, target) in enumerate(zip(task.table.inputs.tolist(), task.table.targets.tolist(), strict=True)):
        if wave(target, target) is not None and all(wave(x, x) is not None for x in inputs):
            table[row] = torch.tensor([wave(target, c) or 0.0 for c in range(task.table.classes)], dtype=torch.float64)
        else:
            table[row] = junk * torch.randn(task.table.classes, generator=torch.Generator().manual_seed(row))
    return table.unsqueeze(0)


@pytest.fixture
def with_logits(make_view):
    """Return a maker of views of a task whose logits are given, as functions of the target, with given keys."""

    def make(task, wave, keys, junk=0.0):
        view = make_view(task=task)
        chosen = torch.zeros(1, characters(view.task).frequencies, dtype=torch.bool)
        chosen[0, [k - 1 for k in keys]] = True
        view = replace(view, keys=chosen)
        table = logits_of(view.task, wave, junk)
        logits = torch.zeros(1, view.everything.targets.shape[1], table.shape[2], dtype=torch.float64)
        logits[:, view.rows] = table
        view.__dict__["logits"] = logits
        return view

    return make


def logarithmic(weights):
    """Return Σ_k α_k cos(2πk (log u − log c) / 12), None where there is no logarithm."""

    def wave(u, c):
        if u not in LOGARITHMS or c not in LOGARITHMS:
            return None
        return sum(
            alpha * math.cos(2 * math.pi * k * (LOGARITHMS[u] - LOGARITHMS[c]) / 12) for k, alpha in weights.items()
        )

    return wave


@pytest.mark.parametrize("name", ["modular_multiplication", "modular_division"])
def test_products_and_quotients_have_circuits_of_discrete_logarithms(with_logits, value, name):
    task, wave = {"name": name, "modulus": 13}, logarithmic({1: 9.0, 4: 6.0, 6: 5.0})
    view = with_logits(task, wave, [1, 4, 6], junk=5.0)
    assert value("restricted_loss", view)["restricted_accuracy"] == 1
    assert value("logit_variance_explained", view) == pytest.approx(1, abs=1e-9)
    assert value("excluded_loss", view)["excluded_loss"] == pytest.approx(math.log(13), abs=1e-9)
    assert value("function_spectrum", view) == {"off_family_share": pytest.approx(0, abs=1e-9)}
    lost = damage(view)["frequency"][0]
    assert (lost > 1e-9).nonzero().flatten().tolist() == [0, 3, 5]
    others = with_logits(task, wave, [2, 3])
    assert value("restricted_loss", others)["restricted_loss"] == pytest.approx(math.log(13), abs=1e-9)
    partly = with_logits(task, logarithmic({1: 1.0, 4: 2.0}), [4])
    assert value("logit_variance_explained", partly) == pytest.approx(4 / 5)


def test_an_embedding_of_logarithms_has_their_frequencies(embedded, value):
    rows = torch.zeros(13, 2, dtype=torch.float64)
    for unit, log in LOGARITHMS.items():
        rows[unit, 0], rows[unit, 1] = math.cos(2 * math.pi * 5 * log / 12), math.sin(2 * math.pi * 5 * log / 12)
    view = embedded(rows, task={"name": "modular_multiplication", "modulus": 13})
    assert value("key_frequencies", view) == 1
    assert int(view.energies[0].argmax()) + 1 == 5
    added = embedded(rows, task={"name": "modular_addition", "modulus": 13})
    assert value("key_frequencies", added) > 3, "along the residues themselves these are no waves"


@pytest.mark.parametrize("name", ["Z3xZ3", "Z2xZ2xZ3", "Z12"])
def test_a_character_of_any_abelian_group_is_one_frequency(with_logits, value, name):
    task = TASKS.member("group_composition")(group=name)
    orders = [int(factor[1:]) for factor in name.split("x")]
    parts = list(itertools.product(*map(range, orders)))

    def wave(u, c):
        return math.cos(sum(2 * math.pi * (a - b) / n for a, b, n in zip(parts[u], parts[c], orders, strict=True)))

    section = {"name": "group_composition", "group": name}
    everywhere = with_logits(section, wave, range(1, characters(task).frequencies + 1))
    lost = damage(everywhere)["frequency"][0]
    (key,) = (lost > 1e-9).nonzero().flatten().tolist()
    view = with_logits(section, wave, [key + 1])
    assert value("logit_variance_explained", view) == pytest.approx(1, abs=1e-9)
    alone, together = (value("restricted_loss", one)["restricted_loss"] for one in (view, everywhere))
    assert alone == pytest.approx(together)
    assert value("excluded_loss", view)["excluded_loss"] == pytest.approx(math.log(task.table.classes), abs=1e-9)


def test_characters_are_orthonormal_and_multiplicative():
    for section in (("modular_multiplication", {"modulus": 16}), ("group_composition", {"group": "Z2xZ4"})):
        waves = characters(TASKS.member(section[0])(**section[1]))
        n = len(waves.tokens)
        torch.testing.assert_close(waves.basis @ waves.basis.T, torch.eye(n, dtype=torch.float64))
        assert waves.basis[0].tolist() == pytest.approx([n**-0.5] * n)
        assert waves.frequencies == 5, "three characters of order two, and two pairs of order four, less the constant"
