"""Groups: the axioms, and characters against theory and against SymPy's permutation groups."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy.combinatorics.named_groups import AlternatingGroup, CyclicGroup, DihedralGroup, SymmetricGroup

from grokcore.algebra.groups import ORDER_LIMIT, group_order, permutation_group, unit_group
from grokcore.errors import ConfigError, DataError

FACTORS = [*(f"S{n}" for n in range(1, 6)), *(f"A{n}" for n in range(1, 6)), *(f"D{n}" for n in range(3, 9))]
FACTORS += [f"Z{n}" for n in range(1, 13)]
NAMES = st.lists(st.sampled_from(FACTORS), min_size=1, max_size=3).map("x".join)
GROUPS = NAMES.filter(lambda name: 2 <= group_order(name) <= 150).map(permutation_group)


@settings(max_examples=40, deadline=None)
@given(GROUPS, st.integers(0, 10**6))
def test_the_axioms_hold(group, seed):
    n, product = group.order, group.product
    assert np.all(np.sort(product, axis=1) == np.arange(n)), "closed, and every equation g·x = h has one solution"
    assert np.all(product[0] == np.arange(n)), "element 0 is the identity from the left"
    assert np.all(product[:, 0] == np.arange(n)), "and from the right"
    assert np.all(product[np.arange(n), group.inverse] == 0)
    f, g, h = np.random.default_rng(seed).integers(n, size=(3, 200))
    np.testing.assert_array_equal(product[product[f, g], h], product[f, product[g, h]])


@settings(max_examples=40, deadline=None)
@given(GROUPS, st.integers(0, 10**6))
def test_products_compose_permutations(group, seed):
    g, h = np.random.default_rng(seed).integers(group.order, size=(2, 50))
    composed = np.take_along_axis(group.elements[g], group.elements[h], axis=1)
    np.testing.assert_array_equal(group.elements[group.product[g, h]], composed)


@settings(max_examples=40, deadline=None)
@given(GROUPS)
def test_generators_generate_and_the_centre_commutes(group):
    reached = {0}
    while True:
        more = reached | {int(group.product[g, s]) for g in reached for s in group.generators}
        if more == reached:
            break
        reached = more
    assert len(reached) == group.order
    assert len(group.generators) <= np.log2(group.order) + 1e-9
    assert group.abelian == (len(group.centre) == group.order)
    assert np.all(group.product[group.centre] == group.product[:, group.centre].T)


@settings(max_examples=40, deadline=None)
@given(GROUPS)
def test_characters_are_orthonormal_and_as_many_as_conjugacy_classes(group):
    X, sizes = group.characters, group.class_sizes
    assert X.shape == (len(sizes), len(sizes))
    np.testing.assert_allclose((X * sizes) @ X.conj().T / group.order, np.eye(len(sizes)), atol=1e-9)
    np.testing.assert_allclose(X.T @ X.conj() * sizes / group.order, np.eye(len(sizes)), atol=1e-9)
    np.testing.assert_allclose(X[0], 1, atol=1e-9)
    np.testing.assert_allclose(X[:, 0], group.degrees, atol=1e-9)
    assert np.sum(group.degrees**2) == group.order
    assert np.all(group.order % group.degrees == 0)


@settings(max_examples=20, deadline=None)
@given(GROUPS)
def test_characters_belong_to_irreducibles(group):
    """χ(g)χ(h) = d/|G| · Σ_x χ(g·x·h·x⁻¹) holds for irreducible characters; orthonormal mixtures of them fail it."""
    product, inverse = group.product, group.inverse
    values = group.characters[:, group.classes]
    representatives = np.unique(group.classes, return_index=True)[1]
    for g, h in itertools.islice(itertools.product(representatives, repeat=2), 60):
        moved = product[g, product[product[:, h], inverse]]
        mean = values[:, moved].mean(axis=1)
        np.testing.assert_allclose(values[:, g] * values[:, h], group.degrees * mean, atol=1e-8)


@settings(max_examples=20, deadline=None)
@given(GROUPS.filter(lambda group: group.order <= 60), st.integers(0, 10**6))
def test_isotypic_projectors_are_projectors_and_agree_with_the_cheap_energies(group, seed):
    projectors = np.stack([group.isotypic_projector(i) for i in range(len(group.degrees))])
    np.testing.assert_allclose(projectors.sum(axis=0), np.eye(group.order), atol=1e-9)
    np.testing.assert_allclose(projectors @ projectors, projectors, atol=1e-9)
    np.testing.assert_allclose(np.trace(projectors, axis1=1, axis2=2), group.degrees**2, atol=1e-9)
    left = group.product[group.generators[0]]  # rows moved by a translation
    np.testing.assert_allclose(projectors[:, left][:, :, left], projectors, atol=1e-9)
    values = np.random.default_rng(seed).standard_normal((2, 3, group.order, 5))
    by_projector = np.sum(np.abs(projectors @ values[:, :, None]) ** 2, axis=(-2, -1))
    np.testing.assert_allclose(group.isotypic_energy(values), by_projector, atol=1e-8)
    np.testing.assert_allclose(group.isotypic_energy(values).sum(axis=-1), np.sum(values**2, axis=(-2, -1)))


@settings(max_examples=20, deadline=None)
@given(GROUPS.filter(lambda group: group.order <= 60))
def test_isotypic_bases_make_up_an_orthonormal_basis_of_all_functions(group):
    bases = [group.isotypic_basis(pair) for pair in group.real_irreps]
    for basis, pair in zip(bases, group.real_irreps, strict=True):
        assert basis.shape == (group.order, np.sum(group.degrees[list(pair)] ** 2))
        energy = group.isotypic_energy(basis)
        assert np.isclose(energy[list(pair)].sum(), energy.sum())
    whole = np.concatenate(bases, axis=1)
    np.testing.assert_allclose(whole.T @ whole, np.eye(group.order), atol=1e-8)


def test_permutation_matrices_belong_to_the_trivial_and_the_standard_representation():
    group = permutation_group("S5")
    matrices = (group.elements[:, :, None] == np.arange(5)).reshape(120, 25).astype(float)
    standard = [i for i, character in enumerate(group.characters) if np.isclose(character[0], 4)]
    fixed = (group.elements == np.arange(5)).sum(axis=1)
    (standard,) = [i for i in standard if np.allclose(group.characters[i][group.classes], fixed - 1)]
    basis = np.concatenate([group.isotypic_basis([0]), group.isotypic_basis([standard])], axis=1)
    np.testing.assert_allclose(basis @ (basis.T @ matrices), matrices, atol=1e-9)


def test_on_z_n_a_pair_of_irreducibles_is_a_frequency():
    group, k = permutation_group("Z7"), np.arange(7)
    frequencies = []
    for pair in group.real_irreps[1:]:
        spectrum = np.abs(np.fft.rfft(group.isotypic_basis(pair), axis=0)).sum(axis=1)
        frequencies.append(int(np.argmax(spectrum)))
        assert np.isclose(spectrum[frequencies[-1]], spectrum.sum())
    assert sorted(frequencies) == k[1:4].tolist()


def test_half_a_pair_of_conjugates_has_no_real_basis():
    with pytest.raises(DataError, match="conjugate"):
        permutation_group("Z7").isotypic_basis([1])


@settings(max_examples=20, deadline=None)
@given(GROUPS)
def test_real_irreps_pair_each_irreducible_with_its_conjugate(group):
    assert sorted(itertools.chain(*group.real_irreps)) == list(range(len(group.degrees)))
    for pair in group.real_irreps:
        total = group.characters[list(pair)].sum(axis=0)
        np.testing.assert_allclose(total.imag, 0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "reference"),
    [("S4", SymmetricGroup(4)), ("A5", AlternatingGroup(5)), ("D6", DihedralGroup(6)), ("Z8", CyclicGroup(8))],
)
def test_elements_and_classes_are_those_of_sympy(name, reference):
    group = permutation_group(name)
    assert sorted(map(tuple, group.elements.tolist())) == sorted(tuple(g.array_form) for g in reference.elements)
    classes = {frozenset(tuple(g.array_form) for g in members) for members in reference.conjugacy_classes()}
    ours = [frozenset(map(tuple, group.elements[group.classes == c].tolist())) for c in range(len(group.class_sizes))]
    assert set(ours) == classes
    assert np.array_equal(group.class_sizes, [len(members) for members in ours])


def test_the_characters_of_z_n_are_the_roots_of_unity():
    n = 12
    group = permutation_group(f"Z{n}")
    k = np.arange(n)
    np.testing.assert_array_equal(group.product, (k[:, None] + k) % n)
    roots = np.exp(2j * np.pi * np.outer(k, k) / n)
    ours = group.characters[:, group.classes]
    assert np.allclose(np.sort(np.abs(ours @ roots.conj().T) / n, axis=1), np.eye(n)[-1], atol=1e-9)
    assert len(group.real_irreps) == n // 2 + 1


def test_the_energies_on_z_n_are_the_power_spectrum():
    rows = np.random.default_rng(0).standard_normal((11, 3))
    group = permutation_group("Z11")
    power = np.sort((np.abs(np.fft.fft(rows, axis=0)) ** 2).sum(axis=1) / 11)
    np.testing.assert_allclose(np.sort(group.isotypic_energy(rows)), power, atol=1e-9)


def test_the_degrees_and_the_golden_ratio_of_the_textbooks():
    assert permutation_group("S5").degrees.tolist() == [1, 1, 4, 4, 5, 5, 6]
    assert permutation_group("S6").degrees.tolist() == [1, 1, 5, 5, 5, 5, 9, 9, 10, 10, 16]
    assert permutation_group("D7").degrees.tolist() == [1, 1, 2, 2, 2]
    a5 = permutation_group("A5")
    assert a5.degrees.tolist() == [1, 3, 3, 4, 5]
    golden = (1 + 5**0.5) / 2
    assert np.isclose(a5.characters[1].real.max(initial=0, where=a5.class_sizes == 12), golden)


def test_characters_of_a_product_are_products_of_characters():
    whole, left, right = (permutation_group(name) for name in ("S3xZ4", "S3", "Z4"))
    a, b = (group.characters[:, group.classes] for group in (left, right))
    expected = (a[:, None, :, None] * b[None, :, None, :]).reshape(12, 24)
    ours = whole.characters[:, whole.classes]
    np.testing.assert_allclose(np.abs(ours @ expected.conj().T).max(axis=1), 24, atol=1e-8)


def test_units_are_the_residues_with_an_inverse():
    group = unit_group(12)
    units = group.elements[:, 1]
    assert units.tolist() == [1, 5, 7, 11]
    np.testing.assert_array_equal(units[group.product], np.outer(units, units) % 12)
    assert unit_group(2).order == 1


@pytest.mark.parametrize(("name", "order"), [("S5", 120), ("A5", 60), ("A1", 1), ("D6", 12), ("Z7", 7), ("S3xZ2", 12)])
def test_orders_are_known_without_building(name, order):
    assert group_order(name) == order


def test_orders_beyond_counting_stop_being_counted():
    assert group_order("S" + "9" * 50) == group_order("Z" + "9" * 50) == group_order("Z9x" * 40 + "Z9") == 10**15


def test_the_largest_groups_of_each_kind_can_be_split():
    for name in ("S6", "A6", "D512"):
        group = permutation_group(name)
        assert group.order <= ORDER_LIMIT
        assert np.sum(group.degrees**2) == group.order
        gram = (group.characters * group.class_sizes) @ group.characters.conj().T / group.order
        np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-9)


@pytest.mark.parametrize("name", ["", "S", "S0", "s3", "Q8", "S3x", "S3 x Z2", "S-3", "S3×Z2", "S03"])
def test_a_name_that_is_no_group_is_refused_with_how_to_write_one(name):
    with pytest.raises(ConfigError, match="S, A, D or Z with a number"):
        permutation_group(name)


def test_values_with_a_row_too_few_are_refused():
    with pytest.raises(DataError, match=r"\(5, 2\).*S3.*6"):
        permutation_group("S3").isotypic_energy(np.zeros((5, 2)))
