"""Finite groups of permutations: their tables, conjugacy classes, irreducible characters and isotypic parts.

Everything is computed from the elements. Characters come from the centre of the group algebra (Burnside, Dixon):
class functions act on one another by convolution, these actions commute and are normal, and their common
eigenvectors are the irreducible characters. One random self-adjoint class function tells them apart, so a single
Hermitian eigenproblem of the size of the number of classes is enough.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grokcore.errors import ConfigError, DataError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]

ORDER_LIMIT = 1024
"""Largest group whose multiplication table (order² entries) is built."""

_FACTOR = re.compile(r"([SADZ])([1-9][0-9]{0,99})")
_TELL = 10**15  # Orders beyond this are not counted out: S1000 has 2,568 digits.


@dataclass(frozen=True, eq=False)
class Group:
    """A finite group, given by the permutations that are its elements; element 0 is the identity."""

    name: str
    """How the group is called, such as S5, D6 or S3xZ2."""
    elements: Ints
    """(order, degree): row g holds the images of the points 0, 1, ..., so that g sends i to ``elements[g, i]``."""

    @property
    def order(self) -> int:
        """Number of elements."""
        return len(self.elements)

    @functools.cached_property
    def product(self) -> Ints:
        """(order, order): ``product[g, h]`` is the index of g·h, which sends i to g(h(i))."""
        base = self._base()
        degree = self.elements.shape[1]
        weights = degree ** np.arange(len(base), dtype=np.int64)
        codes = self.elements[:, base] @ weights
        by_code = np.argsort(codes)
        composed = np.zeros((self.order, self.order), dtype=np.int64)
        for point, weight in zip(base, weights, strict=True):
            composed += weight * self.elements[:, self.elements[:, point]]
        return by_code[np.searchsorted(codes, composed, sorter=by_code)]

    def _base(self) -> list[int]:
        # A few points whose images already tell every element apart: one for Z_n, two for D_n, n − 1 for S_n.
        base: list[int] = []
        told = 1
        for point in range(self.elements.shape[1]):
            now = len(np.unique(self.elements[:, [*base, point]], axis=0))
            if now > told:
                base.append(point)
                told = now
            if told == self.order:
                break
        return base

    @functools.cached_property
    def inverse(self) -> Ints:
        """(order,): ``inverse[g]`` is the index of g⁻¹."""
        return np.asarray(np.argmin(self.product, axis=1))  # the identity is element 0

    @functools.cached_property
    def abelian(self) -> bool:
        """Whether g·h = h·g for all elements."""
        return bool(np.array_equal(self.product, self.product.T))

    @functools.cached_property
    def centre(self) -> Ints:
        """Indices of the elements that commute with every other."""
        return np.flatnonzero((self.product == self.product.T).all(axis=1))

    @functools.cached_property
    def generators(self) -> Ints:
        """Indices of a few elements that generate the group."""
        return self.generating(np.arange(self.order))

    def generating(self, elements: Ints) -> Ints:
        """Return those of `elements` that their predecessors do not generate: they generate the same subgroup."""
        chosen: list[int] = []
        reached = np.zeros(self.order, dtype=bool)
        reached[0] = True
        for g in elements.tolist():
            if reached[g]:
                continue
            chosen.append(g)
            frontier = np.flatnonzero(reached)
            while frontier.size:
                found = np.unique(self.product[frontier][:, chosen])
                frontier = found[~reached[found]]
                reached[frontier] = True
        return np.array(chosen, dtype=np.int64)

    @functools.cached_property
    def classes(self) -> Ints:
        """(order,): the number of each element's conjugacy class; class 0 is that of the identity."""
        smallest = np.full(self.order, -1, dtype=np.int64)
        for g in range(self.order):
            if smallest[g] < 0:
                smallest[self.product[self.product[:, g], self.inverse]] = g
        return np.unique(smallest, return_inverse=True)[1].reshape(-1).astype(np.int64)

    @functools.cached_property
    def class_sizes(self) -> Ints:
        """(classes,): number of elements of each conjugacy class."""
        return np.bincount(self.classes)

    @functools.cached_property
    def characters(self) -> Complexes:
        """(irreps, classes): the irreducible characters, by degree; row 0 is the trivial one."""
        sizes = self.class_sizes
        indicators = np.zeros((self.order, len(sizes)))
        indicators[np.arange(self.order), self.classes] = 1 / np.sqrt(sizes[self.classes])
        for attempt in itertools.count():
            random = np.random.default_rng(attempt).standard_normal((2, len(sizes)))
            function = (random[0] + 1j * random[1])[self.classes]
            function = function + np.conj(function[self.inverse])
            action = indicators.T @ function[self._quotient] @ indicators
            eigenvalues, vectors = np.linalg.eigh(action)
            if np.all(np.diff(eigenvalues) > 1e-8 * np.abs(eigenvalues).max()):
                break  # else two irreducibles happen to look alike to this function: draw another
        values = vectors.T * np.sqrt(self.order / sizes)
        values *= np.conj(values[:, :1]) / np.abs(values[:, :1])
        near = np.round(values, 6) + 0.0  # + 0 turns −0 into 0
        return values[np.lexsort([*-near.imag.T[::-1], *-near.real.T[::-1], near[:, 0].real])]

    @functools.cached_property
    def degrees(self) -> Ints:
        """(irreps,): dimension of each irreducible representation; their squares sum to the order."""
        return np.rint(self.characters[:, 0].real).astype(np.int64)

    @functools.cached_property
    def real_irreps(self) -> tuple[tuple[int, ...], ...]:
        """Rows of `characters` grouped so that each group is closed under complex conjugation.

        A real matrix has as much in an irreducible as in its conjugate, so the parts of real data belong to these.
        """
        pairing = (self.characters * self.class_sizes) @ self.characters.T  # order where conjugate, else 0
        partner = np.argmax(pairing.real, axis=1)
        return tuple((i,) if i == j else (i, int(j)) for i, j in enumerate(partner) if i <= j)

    @functools.cached_property
    def _quotient(self) -> Ints:
        return self.product[:, self.inverse]  # [g, w] is g·w⁻¹

    def isotypic_projector(self, irrep: int) -> Complexes:
        """Return the (order, order) projector onto the part of C[G] that transforms as one irreducible.

        P[g, w] = d/|G| · conj χ(g·w⁻¹). It commutes with translations from the left and from the right; the
        projectors of all irreducibles are orthogonal and sum to one.
        """
        character = self.characters[irrep][self.classes]
        return np.asarray(self.degrees[irrep] / self.order * np.conj(character)[self._quotient])

    def isotypic_basis(self, irreps: Sequence[int]) -> Floats:
        """Return an orthonormal basis, (order, Σ d²), of the real functions on the group that belong to `irreps`.

        They are spanned by the matrix elements of these representations: on Z_n by the cosine and sine of one
        frequency. Give irreducibles together with their conjugates, as `real_irreps` lists them.
        """
        projector = np.sum([self.isotypic_projector(i) for i in irreps], axis=0)
        if np.abs(projector.imag).max() > 1e-6:
            raise DataError(f"irreps = {tuple(irreps)}: a conjugate is missing; take a member of {self.real_irreps}.")
        shares, functions = np.linalg.eigh(projector.real)
        return np.asarray(functions[:, shares > 0.5])

    def isotypic_energy(self, values: npt.ArrayLike) -> Floats:
        """Return (..., irreps): the squared norm of the part of `values`, (..., order, d), in each irreducible.

        They sum to the squared norm of `values`, rows in the order of `elements`. Costs one Gram matrix: no
        projector is built.
        """
        rows = np.asarray(values, dtype=np.float64)
        if rows.ndim < 2 or rows.shape[-2] != self.order:
            shape = f"(..., {self.order}, d), a row per element"
            raise DataError(f"values of shape {rows.shape}: the group {self.name} needs {shape}.")
        grams = (rows @ np.swapaxes(rows, -1, -2)).reshape(-1, self.order**2)
        kinds = self.classes[self._quotient].reshape(-1)
        sums = np.stack([np.bincount(kinds, weights=gram, minlength=len(self.class_sizes)) for gram in grams])
        energy = (sums @ self.characters.conj().T).real * (self.degrees / self.order)
        return energy.reshape(*rows.shape[:-2], len(self.degrees))


@functools.lru_cache(maxsize=32)
def permutation_group(name: str) -> Group:
    """Return the group called `name`: S, A, D or Z with a number, or several of these joined by x.

    S5 permutes 5 points, A5 evenly; D6 are the 12 symmetries of a hexagon; Z7 adds residues mod 7, element k being k.
    A product acts on the points of its factors side by side; its last factor varies fastest.
    Raises `ConfigError` with what `group_complaints` has to say.
    """
    complaints = list(group_complaints(name))
    if complaints:
        raise ConfigError(complaints)
    factors = [_ELEMENTS[kind](n) for kind, n in _parse(name)]
    return Group(name=name, elements=functools.reduce(_side_by_side, factors))


@functools.lru_cache(maxsize=32)
def unit_group(modulus: int) -> Group:
    """Return the residues prime to `modulus` under multiplication, acting on all residues, in rising order."""
    residues = np.arange(modulus, dtype=np.int64)
    units = residues[np.gcd(residues, modulus) == 1]
    return Group(name=f"units mod {modulus}", elements=units[:, None] * residues % modulus)


def group_order(name: str) -> int:
    """Return the number of elements of the group called `name` without building it; 10¹⁵ stands for that or more."""
    order = 1
    for kind, n in _parse(name):
        if kind in "SA":
            factor = 1
            for i in range(3 if kind == "A" else 2, n + 1):
                factor = min(factor * i, _TELL)
                if factor == _TELL:
                    break
        else:
            factor = 2 * n if kind == "D" else n
        order = min(order * factor, _TELL)
    return order


def group_complaints(name: str) -> Iterator[str]:
    """Yield what is wrong with the name of a group: its spelling, a factor that is no group, its size."""
    factors = _parse(name)
    if not factors:
        yield (
            f"group = {name!r}: should be S, A, D or Z with a number from 1 on, or several joined by x, "
            "such as S5, A4, D6, Z7 or S3xZ2."
        )
        return
    for kind, n in factors:
        if kind == "D" and n < 3:
            yield f"group = {name!r}: D{n} is no polygon's group; take D3 or more, or Z2 or Z2xZ2, which are D1 and D2."
    order = group_order(name)
    if order < 2:
        yield f"group = {name!r}: has one element, so there is nothing to learn; take one of order 2 or more."
    if order > ORDER_LIMIT:
        size = f"{order:,} elements and {order**2:,} pairs" if order < _TELL else f"more than {_TELL:,} elements"
        yield f"group = {name!r}: has {size}; the limit is {ORDER_LIMIT:,} elements and {ORDER_LIMIT**2:,} pairs."


def _parse(name: str) -> list[tuple[str, int]]:
    factors = [_FACTOR.fullmatch(factor) for factor in name.split("x")]
    return [] if None in factors else [(match[1], int(match[2])) for match in factors if match]


def _symmetric(n: int) -> Ints:
    return np.array(list(itertools.permutations(range(n))), dtype=np.int64)


def _alternating(n: int) -> Ints:
    elements = _symmetric(n)
    first, second = np.triu_indices(n, k=1)
    inversions = (elements[:, first] > elements[:, second]).sum(axis=1)
    return np.asarray(elements[inversions % 2 == 0])


def _cyclic(n: int) -> Ints:
    points = np.arange(n, dtype=np.int64)
    return (points[:, None] + points) % n


def _dihedral(n: int) -> Ints:
    rotations = _cyclic(n)
    return np.concatenate([rotations, rotations[:, -np.arange(n) % n]])  # then the reflections i ↦ k − i


def _side_by_side(left: Ints, right: Ints) -> Ints:
    i, j = np.divmod(np.arange(len(left) * len(right)), len(right))
    return np.concatenate([left[i], left.shape[1] + right[j]], axis=1)


_ELEMENTS = {"S": _symmetric, "A": _alternating, "D": _dihedral, "Z": _cyclic}
