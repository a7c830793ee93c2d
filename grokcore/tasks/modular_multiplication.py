"""Modular multiplication: (x, y) ↦ x · y mod p; without zero, a cyclic group."""

from __future__ import annotations

from dataclasses import dataclass

from grokcore.tasks._modular import ModularTask
from grokcore.tasks.base import GroupStructure, Ints, Symmetry


@dataclass(frozen=True, kw_only=True)
class ModularMultiplication(ModularTask):
    """All p² pairs of residues with x · y mod p, zero and its like included."""

    def operate(self, x: Ints, y: Ints) -> Ints:
        """Return x · y."""
        return x * y

    @property
    def structure(self) -> GroupStructure:
        """The residues that have an inverse, under multiplication."""
        return self.multiplicative_structure()

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """Exchange, and multiplication of one operand by units."""
        return (self.exchange(), *(self.affine(f"{u}x", (u, 0), (1, 0), (u, 0)) for u in self.units()))
