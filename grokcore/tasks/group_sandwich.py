"""Group sandwich: (x, y) ↦ x·y·x in a permutation group (Power et al. 2022, arXiv 2201.02177, on S5)."""

from __future__ import annotations

from dataclasses import dataclass

from grokcore.algebra.groups import Group
from grokcore.tasks._group import GroupTask, mapping
from grokcore.tasks.base import Ints, Symmetry


@dataclass(frozen=True, kw_only=True)
class GroupSandwich(GroupTask):
    """All pairs of elements with x·y·x."""

    def operate(self, group: Group, x: Ints, y: Ints) -> Ints:
        """Return x·y·x."""
        return group.product[group.product[x, y], x]

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """Inversion of everything, and a factor on the left or right of x that y takes back."""
        group = self.structure.group
        product, inverse = group.product, group.inverse
        found = [mapping("x⁻¹, y⁻¹", inverse, inverse, inverse)]
        for g in group.generators:
            found += [
                mapping(f"g{g}·x, y·g{g}⁻¹", product[g], product[:, inverse[g]], product[g]),
                mapping(f"x·g{g}, g{g}⁻¹·y", product[:, g], product[inverse[g]], product[:, g]),
            ]
        return tuple(found)
