"""Symmetry alignment: whether the network's outputs have the symmetries of its task."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.models.base import Model
from grokcore.numerics.constants import on_device
from grokcore.numerics.statistics import picked, total
from grokcore.tasks.base import Task
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 512
"""Rows of the table looked at, at most."""


def _no_symmetries(task: Task, model: Model) -> str | None:  # noqa: ARG001
    return None if any(len(x) for x, _, _ in _images(task)) else "the task states no symmetries"


class SymmetryAlignment(Measure):
    """Mean over the task's symmetries σ of the alignment of the logits z(x)_c with z(σx)_σc, over the table.

    The alignment is 1 − Σ‖z(σx)_σ − z(x)‖² / Σ(‖z(σx)_σ‖² + ‖z(x)‖²) with logits centred over classes: 1 where the
    function has the symmetry, 0 where the two are unrelated. A random function has 0, the solution 1. Of more than
    512 rows x that many are looked at, drawn once for all runs. (Lie-algebraic relatives: Gruver et al. 2023, arXiv
    2210.02984.)
    """

    cost = "full"
    needs = frozenset({"logits"})
    limits = (_no_symmetries,)

    def compute(self, view: View) -> Tensor:
        """Return the mean alignment per run, (K,)."""
        found = []
        for rows, images, classes in _images(view.task):
            if len(rows):
                here, there = (_centred(picked(view.logits, view.examples(some))) for some in (rows, images))
                # Σ‖a − b‖² is Σ‖a‖² + Σ‖b‖² − 2 Σ⟨a, b⟩, and relabelled classes leave ‖a‖ as it is.
                both = total(here.square()) + total(there.square())
                if classes is not None:
                    there = there[..., on_device(classes, view.device)]
                found.append(2 * total(here * there).double() / both.double())
        return torch.stack(found, dim=1).mean(1)


def _centred(logits: Tensor) -> Tensor:
    return logits - logits.mean(2, keepdim=True)


@functools.lru_cache(maxsize=16)
def _images(task: Task) -> tuple[tuple[Tensor, Tensor, Tensor | None], ...]:
    """Return, for each symmetry, rows of the table, the rows they go to, and where each class goes if it moves."""
    table = task.table
    weights = table.symbols ** np.arange(table.inputs.shape[1], dtype=np.int64)
    codes = table.inputs @ weights
    order = np.argsort(codes)
    found = []
    for symmetry in task.symmetries:
        wanted = symmetry.apply(table.inputs) @ weights
        at = order[np.minimum(np.searchsorted(codes, wanted, sorter=order), len(codes) - 1)]
        rows = np.flatnonzero(codes[at] == wanted)
        if len(rows) > ROWS:
            rows = np.sort(np.random.default_rng(0).choice(rows, ROWS, replace=False))
        stays = np.array_equal(symmetry.classes, np.arange(table.classes))
        classes = None if stays else torch.from_numpy(symmetry.classes.copy())
        found.append((torch.from_numpy(rows), torch.from_numpy(at[rows]), classes))
    return tuple(found)
