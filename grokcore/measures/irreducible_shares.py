"""Irreducible shares: which representations of the group the embedding is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.errors import DataError
from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.models.base import Model
from grokcore.tasks.base import Task
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor

MOST = 24
"""Irreducibles of a group up to which there is a column for each."""


def _no_irreducibles(task: Task, model: Model) -> str | None:  # noqa: ARG001
    if task.structure is None:
        return "the task follows no group"
    group = task.structure.group
    if group.abelian:
        return f"the group {group.name} is abelian: its irreducibles are frequencies"
    kinds = len(group.real_irreps)
    return f"the group {group.name} has {kinds} irreducibles, more than {MOST}" if kinds > MOST else None


class IrreducibleShares(Measure):
    """Share of the embedding's variance in each non-trivial irreducible representation of the task's group.

    The embedding as functions on the group is split into isotypic parts (Chughtai et al. 2023, arXiv 2302.03025); an
    irreducible and its conjugate count as one. Columns are ``irreducible_i_share`` with i as in the group's characters,
    by rising degree. On cyclic groups these are the frequencies: see the Fourier measures.
    """

    cost = "full"
    needs = frozenset({"embedding"})
    limits = (_no_irreducibles,)

    def columns(self, task: Task, model: Model) -> tuple[str, ...]:  # noqa: ARG002
        """Return one for each irreducible but the trivial one."""
        if task.structure is None:
            raise DataError("the task follows no group.")
        return tuple(f"irreducible_{irreps[0]}_share" for irreps in task.structure.group.real_irreps[1:])

    def compute(self, view: View) -> Tensor:
        """Return the shares per run, (K, irreducibles − 1)."""
        structure = view.task.structure
        if structure is None:
            raise DataError("the task follows no group.")
        rows = []
        for embedding in view.embedding.cpu():
            energy = structure.group.isotypic_energy(embedding.numpy()[structure.tokens])
            parts = torch.tensor([float(energy[list(irreps)].sum()) for irreps in structure.group.real_irreps[1:]])
            rows.append(parts.double() / parts.double().sum())
        return torch.stack(rows)
