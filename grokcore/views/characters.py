"""The characters of the group that a task follows, or of its residues."""

from __future__ import annotations

import functools

from grokcore.algebra.fourier import Characters, characters_of, waves_of_residues
from grokcore.models.base import Model, no_embedding
from grokcore.tasks.base import Task


def no_frequencies(task: Task, model: Model) -> str | None:  # noqa: ARG001
    """Return why symbols have no frequencies, or None if they have."""
    abelian = task.cyclic if task.structure is None else task.structure.group.abelian
    return None if abelian else "symbols are not elements of an abelian group"


def no_spectrum(task: Task, model: Model) -> str | None:
    """Return why an embedding has no frequencies, or None if it has."""
    return no_frequencies(task, model) or no_embedding(task, model)


@functools.lru_cache(maxsize=32)
def characters(task: Task) -> Characters:
    """Return the characters of the group that a task follows, or of its residues; ask `no_frequencies` first."""
    structure = task.structure
    if structure is None:
        return waves_of_residues(task.table.symbols)
    return characters_of(structure.group, structure.tokens)
