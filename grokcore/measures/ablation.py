"""Ablation: what each head, block of neurons and frequency is worth, and how few of them carry the network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from grokcore.lazy_torch import torch
from grokcore.measures.base import Measure
from grokcore.models.base import Model, Tap, untouched
from grokcore.numerics.statistics import gini
from grokcore.tasks.base import Task
from grokcore.views.circuit import no_circuit, of_examples, target_means
from grokcore.views.view import INSIDE_EXAMPLES, View

if TYPE_CHECKING:
    from torch import Tensor

BLOCKS = 32
"""Blocks into which the neurons of a hidden layer are put, at most; each is taken away at once."""

KINDS = ("head", "neuron", "frequency")


class Ablation(Measure):
    """Gini coefficient of the damage done by taking parts away one at a time: heads, blocks of neurons, frequencies.

    Damage is the change of the mean loss over the whole table, whichever way it goes. A head of any layer loses what it
    mixes, a block of neighbouring neurons of any hidden layer its activations, at every position, and the rest of the
    network goes on from there; a frequency k the logits' part in cos and sin(ω_k(a + b)). 0: all parts do the same
    damage; near 1: one does it all.
    """

    cost = "circuit"
    needs = frozenset({"activations", "logits"})

    def columns(self, task: Task, model: Model) -> tuple[str, ...]:
        """Return those of which the network and the task have more than one."""
        return tuple(f"{kind}_damage_gini" for kind in _kinds(task, model))

    def compute(self, view: View) -> Tensor:
        """Return the coefficients per run, (K, kinds)."""
        return torch.stack([gini(lost) for lost in damage(view).values()], dim=1)


def _kinds(task: Task, model: Model) -> tuple[str, ...]:
    there = (model.attention_heads > 1, model.hidden_layers > 0, no_circuit(task, model) is None)
    return tuple(kind for kind, has in zip(KINDS, there, strict=True) if has)


def parts(model: Model, kind: str, neurons: int) -> list[tuple[int, int]]:
    """Return the (layer, number) of each head or block of neurons, layer by layer."""
    count = model.attention_heads if kind == "head" else min(BLOCKS, neurons)
    return [(layer, i) for layer in range(model.hidden_layers) for i in range(count)]


def damage(view: View) -> dict[str, Tensor]:
    """Return, for each kind of part, how much each run's mean loss changes without each part: (K, parts)."""
    ways = {"head": _without_heads, "neuron": _without_neurons, "frequency": _without_frequencies}
    found = {}
    for kind in _kinds(view.task, view.model):
        # A part's absence is compared with the same computation with all parts there, to the last bit.
        whole = view.logits.double() if kind == "frequency" else _whole(view)
        base = _loss(view, whole)
        found[kind] = torch.stack([_loss(view, logits) - base for logits in ways[kind](view)], dim=1).abs()
    return found


def _whole(view: View) -> Tensor:
    return _tapped(view, untouched)


def _loss(view: View, logits: Tensor) -> Tensor:
    """Return each run's mean loss over the table, from logits for the distinct examples: (K, D, C) to (K,)."""
    counts = (view.train_counts + view.val_counts).double()
    return (view.kernel.loss.values(logits, view.everything.targets) * counts).sum(1) / counts.sum(1)


def _outputs(view: View, logits: Tensor) -> Tensor:
    """Return logits as the loss sees them, classes only, in float64."""
    logits = logits[..., : view.task.table.classes].double()
    return logits if view.everything.scale is None else logits * view.everything.scale.double()


def _tapped(view: View, tap: Tap) -> Tensor:
    chunks = view.everything.inputs.split(INSIDE_EXAMPLES, dim=1)
    return _outputs(
        view, torch.cat([view.model.forward(view.task, view.parameters, inputs, tap) for inputs in chunks], dim=1)
    )


def _without_heads(view: View) -> Iterator[Tensor]:
    for layer, head in parts(view.model, "head", 0):
        yield _tapped(view, silencing(f"heads_{layer}", slice(head, head + 1), -2))


def _without_neurons(view: View) -> Iterator[Tensor]:
    neurons = view.activations.shape[2]
    blocks = np.array_split(np.arange(neurons), min(BLOCKS, neurons))
    for layer, i in parts(view.model, "neuron", neurons):
        block = slice(int(blocks[i][0]), int(blocks[i][-1]) + 1)
        yield _tapped(view, silencing(f"neurons_{layer}", block, -1))


def _without_frequencies(view: View) -> Iterator[Tensor]:
    waves, means = view.characters, target_means(view)
    elements, inside = of_examples(view)
    for k in range(waves.frequencies):
        chosen = torch.zeros(view.runs, waves.frequencies, dtype=torch.bool, device=view.device)
        chosen[:, k] = True
        gone = waves.part(means, chosen, constant=False)[:, elements]
        yield view.logits.double() - gone * inside.unsqueeze(1)


def silencing(name: str, some: slice, axis: int) -> Tap:
    """Return a tap that puts some of what passes a place, along an axis counted from the last, to zero."""

    def tap(at: str, value: Tensor) -> Tensor:
        if at != name:
            return value
        value = value.clone()
        value.movedim(axis, 0)[some] = 0
        return value

    return tap
