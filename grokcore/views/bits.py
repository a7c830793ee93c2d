"""The function of bits that a network has learned, and how much each bit matters to it.

Shapes: K runs, N strings, n bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.algebra.walsh import degree_weights, strings
from grokcore.lazy_torch import torch
from grokcore.models.base import Model
from grokcore.numerics.constants import on_device
from grokcore.numerics.vectors import VECTOR
from grokcore.tasks.base import Task
from grokcore.views.view import INSIDE_EXAMPLES, View

if TYPE_CHECKING:
    from torch import Tensor

FLIPPED = 512
"""Strings, at most, of which every bit is flipped once to see what it matters."""


def no_bits(task: Task, model: Model) -> str | None:
    """Return why a network's function is not one of bits, or None if it is."""
    if task.table.symbols != 2 or task.table.classes != 2:
        return "inputs are not strings of bits with one of two classes"
    return "outputs are no logits" if model.regresses else None


def function(view: View, inputs: Tensor) -> Tensor:
    """Return the difference of the two logits, as the loss sees them, of strings (N, n): (K, N), float64."""
    parts = []
    for some in inputs.split(INSIDE_EXAMPLES):
        # Whatever is stacked comes in multiples of the vector length: a power of two, at least 32.
        rows = some.repeat(-(-VECTOR // len(some)), 1) if len(some) < VECTOR else some
        logits = view.model.forward(view.task, view.parameters, rows.expand(view.runs, -1, -1))[:, : len(some)]
        parts.append(logits[..., 1].double() - logits[..., 0].double())
    found = torch.cat(parts, dim=1)
    return found if view.everything.scale is None else found * view.everything.scale[..., 0].double()


def weights(view: View) -> Tensor:
    """Return the share of the variance at degree 1, 2, … `degrees`: (K, degrees)."""
    bits = view.task.table.inputs.shape[1]
    return degree_weights(function(view, on_device(strings(bits), view.device)), bits)


def influences(view: View) -> Tensor:
    """Return how much each bit matters, (K, n): a quarter of the mean square of what flipping it changes, over Var f.

    Their sum is the mean degree, each degree weighted by its share.
    """
    bits = view.task.table.inputs.shape[1]
    every = on_device(strings(bits), view.device)
    values = function(view, every)
    variance = (values - values.mean(1, keepdim=True)).square().mean(1, keepdim=True)
    chosen = torch.arange(0, len(every), max(1, len(every) // FLIPPED), device=view.device)
    found = []
    for bit in range(bits):
        flipped = every[chosen].clone()
        flipped[:, bit] = 1 - flipped[:, bit]
        found.append((function(view, flipped) - values[:, chosen]).square().mean(1) / 4)
    return torch.stack(found, dim=1) / variance
