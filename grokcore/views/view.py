"""View: the stacked networks of a cohort at one step, and what measures derive from them, each thing once.

Shapes: K runs, D distinct examples (padded), N rows of the task's table, S symbols, C classes, W embedding width,
M neurons of the last hidden layer, F frequencies.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from grokcore.algebra.fourier import Characters
from grokcore.data.batch import Batch
from grokcore.lazy_torch import torch
from grokcore.losses.base import Loss
from grokcore.models.base import Model, Parameters, at_read_out, recording
from grokcore.numerics.constants import on_device
from grokcore.numerics.vectors import VECTOR
from grokcore.tasks.base import Task
from grokcore.views.characters import characters

if TYPE_CHECKING:
    from torch import Tensor

LOGITS_ELEMENTS = 1 << 20
"""Logits per run computed at once."""

INSIDE_EXAMPLES = 4096
"""Examples per run that go through the network at once while its inside is looked at."""


class Network(Protocol):
    """What computes a model's outputs and gradients; the engine's kernels do."""

    @property
    def loss(self) -> Loss:
        """What is minimised."""

    def logits(self, parameters: Parameters, batch: Batch) -> Tensor:
        """Return the logits (K, N, C) of a batch."""

    def gradients(self, parameters: Parameters, batch: Batch, out: Mapping[str, Tensor]) -> None:
        """Write ∂ Σ_n weights · loss / ∂ parameters into `out`, tensor by tensor."""


@dataclass(frozen=True, kw_only=True)
class View:
    """What a measure may look at."""

    task: Task
    """What is learned."""
    model: Model
    """Which network learns it."""
    kernel: Network
    """What computes its outputs and gradients."""
    parameters: Parameters
    """Name to tensor (K, *shape)."""
    everything: Batch
    """Every distinct example of every run, padded to a multiple of the vector length."""
    rows: Tensor
    """(N,): which distinct example each row of the task's table is."""
    train_counts: Tensor
    """(K, D): how often each distinct example trains."""
    val_counts: Tensor
    """(K, D): how often each validates."""
    training_set: Callable[[], Batch]
    """The training examples of every run, weighted so that their losses add up to the training loss."""
    update: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None
    """What the optimizer would add to the weights next, given all gradients, (K, *shape) each; None on snapshots."""
    together: int
    """Logits of the runs that are measured at once, about; no value depends on it on a CPU."""
    keys: Tensor | None = None
    """(K, F) bool: the key frequencies of each run at its end; None while it trains."""

    @property
    def runs(self) -> int:
        """Number of networks K."""
        return len(self.everything.targets)

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.everything.targets.device

    def examples(self, rows: Tensor) -> Tensor:
        """Return which distinct examples some rows of the task's table are; rows kept on the host, of any shape."""
        return self.rows[on_device(rows, self.device)]

    def only(self, k: int) -> View:
        """Return the view of run number `k` alone; the same one at every call."""
        return self._part(k, k + 1)

    @functools.cached_property
    def groups(self) -> list[View]:
        """Views of neighbouring runs, as many at a time as are measured together best; no value depends on it."""
        size = max(1, self.together // (len(self.rows) * self.task.table.classes))
        return [self._part(start, min(start + size, self.runs)) for start in range(0, self.runs, size)]

    @functools.cached_property
    def _parts(self) -> dict[tuple[int, int], View]:
        return {}

    def _part(self, start: int, stop: int) -> View:
        if (start, stop) == (0, self.runs):
            return self
        if (start, stop) not in self._parts:
            self._parts[start, stop] = self._cut(slice(start, stop))
        return self._parts[start, stop]

    def _cut(self, some: slice) -> View:
        return replace(
            self,
            parameters={name: value[some] for name, value in self.parameters.items()},
            everything=self.everything.of_runs(some),
            training_set=lambda: self.training.of_runs(some),
            train_counts=self.train_counts[some],
            val_counts=self.val_counts[some],
            keys=None if self.keys is None else self.keys[some],
            update=None if self.update is None else (lambda _: {n: v[some] for n, v in self.next_update.items()}),
        )

    @functools.cached_property
    def training(self) -> Batch:
        """The training examples of every run, weighted so that their losses add up to the training loss."""
        return self.training_set()

    @functools.cached_property
    def embedding(self) -> Tensor:
        """What each symbol is turned into, float64: (K, S, W)."""
        found = self.model.embedding(self.task, self.parameters)
        if found is None:
            raise ValueError("the model names no embedding")
        return found.double().contiguous()

    @functools.cached_property
    def gram(self) -> Tensor:
        """The smaller of the embedding's two Gram matrices: (K, n, n)."""
        wide = self.embedding.shape[1] <= self.embedding.shape[2]
        return self.embedding @ self.embedding.mT if wide else self.embedding.mT @ self.embedding

    @functools.cached_property
    def characters(self) -> Characters:
        """The characters of the group that the task follows, or of its residues; ask `no_frequencies` first."""
        return characters(self.task).on(self.device)

    @functools.cached_property
    def components(self) -> Tensor:
        """Norms of the embedding's components in the characters of the task's group: (K, n)."""
        return self.characters.norms(self.embedding)

    @functools.cached_property
    def energies(self) -> Tensor:
        """Energy of the embedding in each frequency but the constant: (K, F)."""
        return self.characters.energies(self.components)

    @functools.cached_property
    def logits(self) -> Tensor:
        """Outputs for every distinct example, as the loss sees them, classes only: (K, D, C)."""
        batch, examples = self.everything, self.everything.targets.shape[1]
        step = max(VECTOR, LOGITS_ELEMENTS // self.task.table.classes // VECTOR * VECTOR)
        step = examples if batch.grid is not None else step  # a grid is computed whole
        parts = []
        for start in range(0, examples, step):
            logits = self.kernel.logits(self.parameters, batch.chunk(start, min(start + step, examples)))
            parts.append(logits if batch.scale is None else logits * batch.scale)
        logits = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return logits[..., : self.task.table.classes].contiguous()

    @functools.cached_property
    def activations(self) -> Tensor:
        """Activations of the last hidden layer, where logits are read, for every distinct example: (K, D, M)."""
        return self._activations_of(self.everything)

    @functools.cached_property
    def training_activations(self) -> Tensor:
        """The same for the training examples: (K, N, M)."""
        every = self.training.inputs.shape == self.everything.inputs.shape
        if every and torch.equal(self.training.inputs, self.everything.inputs):
            return self.activations
        return self._activations_of(self.training)

    def _activations_of(self, batch: Batch) -> Tensor:
        place = f"neurons_{self.model.hidden_layers - 1}"
        parts = []
        for inputs in batch.inputs.split(INSIDE_EXAMPLES, dim=1):
            seen: dict[str, Tensor] = {}
            self.model.forward(self.task, self.parameters, inputs, recording(frozenset({place}), seen))
            parts.append(at_read_out(seen[place]))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    @functools.cached_property
    def gradients(self) -> dict[str, Tensor]:
        """Gradient of the training loss, (K, *shape) each."""
        found = {name: torch.empty_like(value) for name, value in self.parameters.items()}
        self.kernel.gradients(self.parameters, self.training, found)
        return found

    @functools.cached_property
    def next_update(self) -> Mapping[str, Tensor]:
        """What the optimizer would add to the weights next; raises `RuntimeError` on weight snapshots."""
        if self.update is None:
            raise RuntimeError("weight snapshots have no optimizer state")
        return self.update(self.gradients)
