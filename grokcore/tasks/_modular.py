"""What the operations on pairs of residues have in common: the table, and symmetries that are affine maps."""

from __future__ import annotations

import abc
from dataclasses import dataclass

import numpy as np

from grokcore.algebra.groups import unit_group
from grokcore.tasks.base import GroupStructure, Ints, Modulus, Symmetry, Table, Task, pairs

Affine = tuple[int, int]
"""(a, b): the map r ↦ a·r + b of residues."""


@dataclass(frozen=True, kw_only=True)
class ModularTask(Task, abc.ABC):
    """An operation on all p² pairs of residues mod p."""

    modulus: Modulus
    """Number of residues p; Power et al. take 97, Nanda et al. 113."""

    @abc.abstractmethod
    def operate(self, x: Ints, y: Ints) -> Ints:
        """Return x ∘ y, not yet reduced mod p."""

    @property
    def examples(self) -> int:
        """p²."""
        return self.modulus**2

    @property
    def cyclic(self) -> bool:
        """Tokens are residues mod p."""
        return True

    def build(self) -> Table:
        """Return the pairs in a-major order."""
        p = self.modulus
        xy = pairs(p)
        return Table(inputs=xy, targets=self.operate(xy[:, 0], xy[:, 1]) % p, symbols=p, classes=p)

    def affine(self, name: str, x: Affine, y: Affine, z: Affine, exchange: bool = False) -> Symmetry:
        """Return the symmetry that maps x, y and x ∘ y by affine maps, after exchanging x and y if asked."""
        p = self.modulus
        residues = np.arange(p, dtype=np.int64)
        x_map, y_map, z_map = ((a * residues + b) % p for a, b in (x, y, z))
        return Symmetry(name=name, tokens=np.stack([x_map, y_map]), classes=z_map, order=(1, 0) if exchange else (0, 1))

    def exchange(self) -> Symmetry:
        """Return the symmetry of an operation that does not mind the order: (x, y) to (y, x)."""
        return self.affine("y, x", (1, 0), (1, 0), (1, 0), exchange=True)

    def units(self) -> tuple[int, ...]:
        """Return residues that generate, by multiplication, all that have an inverse; none for p = 2."""
        group = unit_group(self.modulus)
        return tuple(int(group.elements[g, 1]) for g in group.generators)

    def multiplicative_structure(self) -> GroupStructure:
        """Return the residues that have an inverse, under multiplication."""
        group = unit_group(self.modulus)
        return GroupStructure(group=group, tokens=group.elements[:, 1])


def inverses(p: int) -> Ints:
    """Return the inverse mod p of each residue that has one, and 0 for the others."""
    return np.array([pow(r, -1, p) if np.gcd(r, p) == 1 else 0 for r in range(p)], dtype=np.int64)


def composite(p: int) -> str | None:
    """Return "p = d × q" if p is composite, None if it is prime."""
    divisor = next((d for d in range(2, int(p**0.5) + 1) if p % d == 0), None)
    return f"{p} = {divisor} × {p // divisor}" if divisor else None
