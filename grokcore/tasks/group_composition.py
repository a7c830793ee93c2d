"""Group composition: (x, y) ↦ x·y in a permutation group (Power et al. 2022, arXiv 2201.02177, on S5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grokcore.algebra.groups import Group
from grokcore.tasks._group import GroupTask, mapping
from grokcore.tasks.base import Ints, Symmetry


@dataclass(frozen=True, kw_only=True)
class GroupComposition(GroupTask):
    """All pairs of elements with x·y, which applies y first."""

    def operate(self, group: Group, x: Ints, y: Ints) -> Ints:
        """Return x·y."""
        return group.product[x, y]

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """Multiplication from the left, from the right and in between; inversion, which exchanges the operands."""
        group = self.structure.group
        product, inverse, same = group.product, group.inverse, np.arange(group.order)
        found = [mapping("y⁻¹, x⁻¹", inverse, inverse, inverse, exchange=True)]
        if group.abelian:
            found.append(mapping("y, x", same, same, same, exchange=True))
        for g in group.generators:
            found += [
                mapping(f"g{g}·x", product[g], same, product[g]),
                mapping(f"y·g{g}", same, product[:, g], product[:, g]),
                mapping(f"x·g{g}, g{g}⁻¹·y", product[:, g], product[inverse[g]], same),
            ]
        return tuple(found)
