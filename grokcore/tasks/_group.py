"""What the operations on pairs of group elements have in common."""

from __future__ import annotations

import abc
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from grokcore.algebra.groups import Group, group_complaints, group_order, permutation_group
from grokcore.tasks.base import GroupStructure, Ints, Symmetry, Table, Task, pairs


@dataclass(frozen=True, kw_only=True)
class GroupTask(Task, abc.ABC):
    """An operation on all pairs of elements of a group."""

    group: str
    """Which group: S, A, D or Z with a number, or several joined by x, as S3xZ2; at most 1,024 elements."""

    @abc.abstractmethod
    def operate(self, group: Group, x: Ints, y: Ints) -> Ints:
        """Return x ∘ y as indices of elements."""

    def complaints(self) -> Iterator[str]:
        """Yield that the group is unknown or too large for a table."""
        yield from group_complaints(self.group)

    @property
    def examples(self) -> int:
        """|G|²."""
        return group_order(self.group) ** 2

    @property
    def cyclic(self) -> bool:
        """Whether the group is a single Z_n, whose element k is the residue k."""
        return re.fullmatch(r"Z\d+", self.group) is not None

    @property
    def structure(self) -> GroupStructure:
        """The group itself."""
        group = permutation_group(self.group)
        return GroupStructure(group=group, tokens=np.arange(group.order))

    def build(self) -> Table:
        """Return the pairs of elements, in the group's order, the first operand varying slowest."""
        group = permutation_group(self.group)
        xy = pairs(group.order)
        targets = self.operate(group, xy[:, 0], xy[:, 1])
        return Table(inputs=xy, targets=targets, symbols=group.order, classes=group.order)


def mapping(name: str, x: Ints, y: Ints, z: Ints, exchange: bool = False) -> Symmetry:
    """Return the symmetry that maps x, y and x ∘ y by these permutations, after exchanging x and y if asked."""
    return Symmetry(name=name, tokens=np.stack([x, y]), classes=z, order=(1, 0) if exchange else (0, 1))
