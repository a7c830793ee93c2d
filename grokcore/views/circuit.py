"""What the measures of circuits share: the functions that a sum, difference, product or quotient is made of.

The table's rows whose operands are elements of the task's group are a square; the targets that follow the group are
its elements too. A network that has understood the group has logits that are functions of the target alone.

Shapes: K runs, D distinct examples (padded), n elements of the group, F frequencies, C classes.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from grokcore.algebra.fourier import keys
from grokcore.lazy_torch import torch
from grokcore.losses.cross_entropy import cross_entropy
from grokcore.models.base import Model
from grokcore.numerics.statistics import mean_of, padded, picked
from grokcore.tasks.base import Ints, Task
from grokcore.views.characters import characters, no_frequencies
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


def no_table(task: Task, model: Model) -> str | None:
    """Return why outputs are not functions of two elements of a group, or None if they are."""
    reason = no_frequencies(task, model)
    if reason is None and (task.table.inputs.shape[1] != 2 or not _all_pairs(task)):
        reason = "inputs are not all pairs of a group's elements"
    return reason


def no_circuit(task: Task, model: Model) -> str | None:
    """Return why the Fourier circuit is not defined here, or None if it is."""
    reason = no_table(task, model)
    if reason is None and not characters(task).grouped:
        reason = "the targets do not follow an abelian group"
    return reason


def _elements(task: Task) -> Ints:
    """Return which element of the group each symbol stands for, −1 for none: (S,)."""
    tokens = characters(task).tokens.numpy()
    elements = np.full(max(task.table.symbols, task.table.classes), -1, dtype=np.int64)
    elements[tokens] = np.arange(len(tokens))
    return elements


@functools.lru_cache(maxsize=16)
def pair_rows(task: Task) -> Tensor:
    """Return the table's row of each pair of elements, −1 where there is none: (n, n)."""
    pairs = _elements(task)[task.table.inputs]
    rows = np.full((len(characters(task).tokens),) * 2, -1, dtype=np.int64)
    inside = np.flatnonzero((pairs >= 0).all(1))
    rows[pairs[inside, 0], pairs[inside, 1]] = inside
    return torch.from_numpy(rows)


@functools.lru_cache(maxsize=16)
def _all_pairs(task: Task) -> bool:
    return bool((pair_rows(task) >= 0).all())


@functools.lru_cache(maxsize=16)
def by_target(task: Task) -> Tensor:
    """Return the table's rows that have each element of the group as target: (n, n)."""
    rows = pair_rows(task).reshape(-1)
    order = np.argsort(_elements(task)[task.table.targets[rows.numpy()]], kind="stable")
    return rows[torch.from_numpy(order)].view(len(characters(task).tokens), -1)


def of_examples(view: View) -> tuple[Tensor, Tensor]:
    """Return which element is the target of each distinct example, and whether its operands are elements: (D,) each."""
    elements = torch.zeros(view.train_counts.shape[1], dtype=torch.long, device=view.device)
    inside = torch.zeros_like(elements, dtype=torch.bool)
    examples = view.examples(by_target(view.task))
    elements[examples] = torch.arange(len(examples), device=view.device).unsqueeze(1).expand_as(examples)
    inside[examples] = True
    return elements, inside


def target_means(view: View) -> Tensor:
    """Return the mean of each run's logits over the rows of each target: (K, n, C)."""
    rows = view.examples(by_target(view.task))
    return mean_of(picked(view.logits, some) for some in rows.unbind(1))


def final_keys(view: View) -> Tensor:
    """Return the key frequencies: those given, or those of the embedding as it is; (K, F) bool."""
    return keys(view.energies) if view.keys is None else view.keys


def losses(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return each row's cross-entropy and whether it is answered rightly: (K, n, C), (n,) or (K, n) to (K, n) twice."""
    rows = targets.expand(logits.shape[:2])
    values = cross_entropy(padded(logits, dim=1), padded(rows, dim=1))[:, : rows.shape[1]]
    return values, (logits.argmax(-1) == rows).double()
