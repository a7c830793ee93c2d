"""Function spectrum: how much of the function learned lies at high frequencies, or outside the task's family."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.models.base import Model
from grokcore.numerics.constants import on_device
from grokcore.numerics.statistics import total, weighted_means
from grokcore.tasks.base import Task
from grokcore.views.characters import characters
from grokcore.views.circuit import no_circuit, no_table, pair_rows, target_means
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor


def _no_spectrum(task: Task, model: Model) -> str | None:
    return no_table(task, model) or (None if _columns(task, model) else "frequencies have no order, targets no group")


def _columns(task: Task, model: Model) -> tuple[str, ...]:
    there = {"high_frequency_share": characters(task).ordered, "off_family_share": no_circuit(task, model) is None}
    return tuple(name for name, defined in there.items() if defined)


class FunctionSpectrum(Measure):
    """Share of the logit table's energy above the frequency cut p / 4 in either operand; and outside the family.

    The table z(a, b, c), centred over classes, is transformed over a and b; its mean over the table is left out. The
    family are all functions of the target: a random function has 1 − (p − 1)/(p² − 1) outside of it, the solution
    nothing. Discrete logarithms, of products and quotients, have no low frequencies; powers and the like no family.
    """

    cost = "full"
    needs = frozenset({"logits"})
    limits = (_no_spectrum,)

    def columns(self, task: Task, model: Model) -> tuple[str, ...]:
        """Return those that are defined."""
        return _columns(task, model)

    def compute(self, view: View) -> Tensor:
        """Return the shares per run, (K, 1 or 2)."""
        columns = _columns(view.task, view.model)
        logits = view.logits[:, view.examples(pair_rows(view.task))]
        logits = logits - logits.mean(3, keepdim=True)
        runs, n, _, classes = logits.shape
        rows = logits.flatten(1, 2)
        means = weighted_means(rows, torch.ones_like(rows[..., 0])).unsqueeze(1)
        whole = total((rows - means).square()).double()
        found = []
        if "high_frequency_share" in columns:
            few = on_device(_slow(view.task), view.device).to(logits).expand(runs, -1, -1)
            for _ in range(2):
                logits = (
                    torch.bmm(few, logits.reshape(runs, n, -1)).view(runs, len(few[0]), -1, classes).transpose(1, 2)
                )
            found.append(1 - (total(logits.square()) - total(logits[:, 0, 0].square())).double() / whole)
        if "off_family_share" in columns:
            family = target_means(view)
            family = family - family.mean(2, keepdim=True)
            found.append(1 - total((family - means.double()).square()) * n / whole)
        return torch.stack(found, dim=1)


@functools.lru_cache(maxsize=16)
def _slow(task: Task) -> Tensor:
    """Return the characters up to the frequency cut n / 4, the constant first: (m, n)."""
    waves = characters(task)
    frequencies = torch.arange(waves.frequencies).unsqueeze(0) < len(waves.tokens) // 4
    return waves.basis[waves.members(frequencies, constant=True)[0]]
