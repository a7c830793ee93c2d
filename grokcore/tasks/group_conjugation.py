"""Group conjugation: (x, y) ↦ x·y·x⁻¹ in a permutation group (Power et al. 2022, arXiv 2201.02177, on S5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grokcore.algebra.groups import Group
from grokcore.tasks._group import GroupTask, mapping
from grokcore.tasks.base import Ints, Symmetry


@dataclass(frozen=True, kw_only=True)
class GroupConjugation(GroupTask):
    """All pairs of elements with x·y·x⁻¹."""

    def operate(self, group: Group, x: Ints, y: Ints) -> Ints:
        """Return x·y·x⁻¹."""
        return group.product[group.product[x, y], group.inverse[x]]

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """Inversion of y, central factors of x, and conjugation undone or done once more."""
        group = self.structure.group
        product, inverse, same = group.product, group.inverse, np.arange(group.order)
        found = [mapping("x, y⁻¹", same, inverse, inverse)]
        found += [mapping(f"x·g{c}", product[:, c], same, same) for c in group.generating(group.centre)]
        for g in group.generators:
            conjugate = product[product[g], inverse[g]]
            found += [
                mapping(f"g{g}·x", product[g], same, conjugate),
                mapping(f"x·g{g}⁻¹, g{g}·y·g{g}⁻¹", product[:, inverse[g]], conjugate, same),
            ]
        return tuple(found)
