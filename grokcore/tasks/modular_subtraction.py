"""Modular subtraction: (x, y) ↦ x − y mod p (Power et al. 2022, arXiv 2201.02177)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grokcore.algebra.groups import permutation_group
from grokcore.tasks._modular import ModularTask
from grokcore.tasks.base import GroupStructure, Ints, Symmetry


@dataclass(frozen=True, kw_only=True)
class ModularSubtraction(ModularTask):
    """All p² pairs of residues with x − y mod p."""

    def operate(self, x: Ints, y: Ints) -> Ints:
        """Return x − y."""
        return x - y

    @property
    def structure(self) -> GroupStructure:
        """The residues under addition."""
        return GroupStructure(group=permutation_group(f"Z{self.modulus}"), tokens=np.arange(self.modulus))

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """Shifts of one operand or of both, exchange, which turns the sign, and multiplication by units."""
        return (
            self.affine("x + 1, y + 1", (1, 1), (1, 1), (1, 0)),
            self.affine("x + 1", (1, 1), (1, 0), (1, 1)),
            self.affine("y, x", (1, 0), (1, 0), (-1, 0), exchange=True),
            *(self.affine(f"{u}x, {u}y", (u, 0), (u, 0), (u, 0)) for u in self.units()),
        )
