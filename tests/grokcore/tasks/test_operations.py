"""The operations against their definitions, written out in plain Python."""

import itertools

import numpy as np
import pytest

from grokcore.algebra.groups import permutation_group
from grokcore.tasks.base import TASKS

P = 11
OPERATIONS = {
    "modular_addition": lambda x, y: x + y,
    "modular_subtraction": lambda x, y: x - y,
    "modular_multiplication": lambda x, y: x * y,
    "modular_squares": lambda x, y: x**2 + y**2,
    "modular_quadratic": lambda x, y: x**2 + x * y + y**2,
    "modular_quadratic_linear": lambda x, y: x**2 + x * y + y**2 + x,
    "modular_cubic": lambda x, y: x**3 + x * y,
    "modular_cubic_mixed": lambda x, y: x**3 + x * y**2 + y,
    "modular_branching": lambda x, y: x * pow(y, -1, P) if y % 2 else x - y,
}


def pairs_of(name, **fields):
    task = TASKS.member(name)(**fields)
    return dict(zip(map(tuple, task.table.inputs.tolist()), task.table.targets.tolist(), strict=True))


@pytest.mark.parametrize("name", OPERATIONS)
def test_modular_operations_are_what_they_are_called(name):
    expected = {(x, y): OPERATIONS[name](x, y) % P for x, y in itertools.product(range(P), repeat=2)}
    assert pairs_of(name, modulus=P) == expected


def test_division_undoes_multiplication():
    found = pairs_of("modular_division", modulus=P)
    assert len(found) == P * (P - 1)
    assert all(y != 0 and z * y % P == x for (x, y), z in found.items())


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("group_composition", lambda x, y: [x[i] for i in y]),
        ("group_conjugation", lambda x, y: [x[y[x.index(i)]] for i in range(len(x))]),
        ("group_sandwich", lambda x, y: [x[y[i]] for i in x]),
    ],
)
def test_group_operations_are_compositions_of_permutations(name, operation):
    elements = permutation_group("S4").elements.tolist()
    for (x, y), z in pairs_of(name, group="S4").items():
        assert elements[z] == operation(elements[x], elements[y])


def test_the_group_tasks_of_the_paper_have_the_size_of_the_paper():
    for name in ("group_composition", "group_conjugation", "group_sandwich"):
        task = TASKS.member(name)(group="S5")
        assert (task.examples, task.table.symbols, task.table.classes) == (14_400, 120, 120)


def test_composition_in_z_n_is_modular_addition():
    addition = TASKS.member("modular_addition")(modulus=9)
    composition = TASKS.member("group_composition")(group="Z9")
    np.testing.assert_array_equal(composition.table.inputs, addition.table.inputs)
    np.testing.assert_array_equal(composition.table.targets, addition.table.targets)
    assert composition.cyclic
    assert not TASKS.member("group_composition")(group="Z3xZ3").cyclic
    assert not TASKS.member("group_composition")(group="D9").cyclic


@pytest.mark.parametrize(
    ("name", "modulus"),
    [("modular_addition", 12), ("modular_subtraction", 12), ("modular_multiplication", 12), ("modular_division", 11)],
)
def test_targets_follow_the_group_that_a_modular_task_declares(name, modulus):
    task = TASKS.member(name)(modulus=modulus)
    structure = task.structure
    tokens, group = structure.tokens, structure.group
    x, y = np.divmod(np.arange(group.order**2), group.order)
    undone = name in ("modular_subtraction", "modular_division")
    expected = tokens[group.product[x, group.inverse[y] if undone else y]]
    np.testing.assert_array_equal(task.label(np.stack([tokens[x], tokens[y]], axis=1)), expected)


def test_labels_that_a_task_does_not_define_are_minus_one():
    division = TASKS.member("modular_division")(modulus=7)
    np.testing.assert_array_equal(division.label(np.array([[3, 0], [3, 1]])), [-1, 3])
    toy = TASKS.member("toy_addition")(numbers=10)
    np.testing.assert_array_equal(toy.label(np.array([[7, 2], [2, 7]])), [-1, 9])


def test_random_labels_are_spread_evenly_and_change_with_their_seed():
    p = 97
    labels = [TASKS.member("random_labels")(modulus=p, label_seed=seed).table.targets for seed in (0, 1)]
    assert 0.5 / p < np.mean(labels[0] == labels[1]) < 2 / p
    counts = np.bincount(labels[0], minlength=p)
    chi_square = np.sum((counts - p) ** 2 / p)  # mean 96, standard deviation 13.9: five of them, P < 1e-5
    assert 96 - 5 * 13.9 < chi_square < 96 + 5 * 13.9
