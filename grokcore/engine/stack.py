"""Stack: the weights of K runs side by side on one device, and the steps that move them all.

A step is written so that it can be recorded once and replayed: where the device wants that, nothing in it is decided,
drawn or copied by the host, and no shape changes. What a step needs to know of its number is in tables that a counter
on the device looks up; what the host wants to know afterwards is noted in tables too.

Shapes: K runs, L elements of a run's flat parameter vector, T steps of a stretch, D distinct examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from grokcore.data.batch import Batch
from grokcore.data.bucketed import Bucketed
from grokcore.data.examples import Examples
from grokcore.data.full_table import FullTable
from grokcore.data.run_examples import RunExamples
from grokcore.data.streamed import Streamed
from grokcore.engine.devices.base import Device
from grokcore.engine.dropout import Dropout
from grokcore.engine.kernels.base import Kernel
from grokcore.engine.kernels.selection import kernel_for
from grokcore.engine.updates import Updates, update_of
from grokcore.lazy_torch import torch
from grokcore.numerics.flat_parameters import FlatParameters
from grokcore.run_config import RunConfig
from grokcore.transforms.base import Weights
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor

STRETCH = 64
"""Steps trained between two looks at the clock, at most."""


def kept_as(config: RunConfig) -> torch.dtype:
    """Return the type of a run's numbers: TF32 is how they are multiplied, not how they are kept."""
    return torch.float64 if config.dtype == "float64" else torch.float32


@dataclass(frozen=True)
class Noted:
    """What was noted of each step of a stretch."""

    witness: Tensor
    """(T, K): one element of each run's gradient, of its last layer: not finite once a run has diverged."""
    right: Tensor | None
    """(T, K, 2): how many training and validation examples were answered rightly before the step, where all examples
    pass through the network anyway; None where they do not."""


class Stack:
    """K runs' weights, gradients and optimizer states, what they learn from, and what moves them."""

    def __init__(
        self,
        kernel: Kernel,
        layout: str,
        runs: Sequence[RunExamples],
        flat: Tensor,
        state: Mapping[str, Tensor],
        device: Device,
    ) -> None:
        first = runs[0].config
        self.kernel, self.layout, self.device, self.flat, self.state = kernel, layout, device, flat, dict(state)
        self.flat_parameters = FlatParameters.of(first.model.shapes(first.task))
        self.parameters = self.flat_parameters.views(flat)
        self.gradient = torch.zeros_like(flat)
        self.gradients = self.flat_parameters.views(self.gradient)
        self._witness = list(self.flat_parameters.offsets.values())[-1]
        self._counter = torch.zeros(1, dtype=torch.long, device=flat.device)
        self.examples = self._examples(runs)
        weights = Weights(flat, self.gradient, self.parameters, self.gradients, self.state, self.flat_parameters)
        configs = [run.config for run in runs]
        self.updates = Updates(configs, weights, self.flat_parameters, device, self._counter, STRETCH)
        dropped = any(config.dropout for config in configs)
        rates, seeds = [config.dropout for config in configs], [config.seed for config in configs]
        self._dropout = Dropout(rates, seeds, first.model.dropped, flat.device) if dropped else None
        # Filled where they lie, since a recorded step writes to where it was recorded.
        self._seen = flat.new_zeros(STRETCH, len(runs))
        watches = isinstance(self.examples, FullTable)
        self._right = flat.new_zeros(STRETCH, len(runs), 2) if watches else None
        self._run = device.repeating(self._step)

    @classmethod
    def begun(cls, layout: str, runs: Sequence[RunExamples], flat: Tensor, device: Device) -> Self:
        """Return the stack of runs that have their first weights, (K, L), and took no step."""
        first = runs[0].config
        kernel = kernel_for(
            first.model,
            first.task,
            first.loss,
            dropout=bool(first.dropout),
            layout=layout,
            chunk_elements=device.chunk_elements,
        )
        return cls(kernel, layout, runs, flat, {**first.optimizer.state(flat), **first.transform.state(flat)}, device)

    def _examples(self, runs: Sequence[RunExamples]) -> Examples:
        place, dtype = self.flat.device, self.flat.dtype
        if self.layout == FullTable.name:
            return FullTable(runs, place, dtype)
        if self.device.captures and runs[0].config.batch != "full":
            return Streamed(runs, place, dtype, self._counter, STRETCH)
        return Bucketed(runs, place, dtype, collects=not self.device.captures)

    def train(self, start: int, steps: int) -> Noted:
        """Take the updates from number `start` on, at most `STRETCH` of them."""
        numbers = np.arange(start, start + steps)
        self.examples.begin(numbers.tolist())
        self.updates.begin(numbers)
        if self._dropout is not None:
            self._dropout.begin(start)
        self._counter.zero_()
        self._run(steps)
        return Noted(self._seen[:steps], None if self._right is None else self._right[:steps])

    def _step(self, i: int) -> None:
        """Take step number `i` of the stretch; where steps are replayed, the counter says which it is."""
        batch = self.examples.batch(i)
        if self._dropout is not None:
            batch = replace(batch, drop=self._dropout.on(batch.rows))
        self.kernel.gradients(self.parameters, batch, self.gradients)
        self._note(self._seen, self.gradient[:, self._witness], i)
        if self._right is not None and batch.right is not None:
            self._note(self._right, batch.right, i)
        self.updates.take(i)
        if self._dropout is not None:
            self._dropout.next_step()
        self._counter.add_(1)

    def _note(self, table: Tensor, values: Tensor, i: int) -> None:
        if self.device.captures:
            table.index_copy_(0, self._counter, values.unsqueeze(0))
        else:
            table[i] = values

    def examine(self) -> tuple[Tensor, Tensor]:
        """Return the loss of every distinct example, and whether it is answered rightly, (K, D) both."""
        return self.kernel.examine(self.parameters, self.examples.everything)

    def update_at(self, step: int, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what update number `step` with these gradients would add to the weights; nothing is changed."""
        return self.flat_parameters.views(update_of(self.updates, step, gradients, self.gradients))

    def weights_of(self, k: int) -> dict[str, Tensor]:
        """Return a copy of the weights of run number `k`."""
        return {name: value[k].detach().cpu().clone() for name, value in self.parameters.items()}

    def view(self, step: int) -> View:
        """Return what measures may look at after `step` updates."""
        config, examples = self.examples.runs[0].config, self.examples
        return View(
            task=config.task,
            model=config.model,
            kernel=self.kernel,
            parameters=self.parameters,
            everything=examples.everything,
            rows=examples.rows,
            train_counts=examples.train_counts,
            val_counts=examples.val_counts,
            training_set=examples.training_set,
            together=self.device.measured_elements,
            update=lambda gradients: self.update_at(step, gradients),
        )

    def only(self, runs: Sequence[RunExamples], indices: Sequence[int]) -> Stack:
        """Return a stack of some of the runs, which are `runs` now."""
        chosen = torch.tensor(indices, dtype=torch.long, device=self.flat.device)
        state = {name: value[chosen] for name, value in self.state.items()}
        return Stack(self.kernel, self.layout, runs, self.flat[chosen], state, self.device)

    @property
    def everything(self) -> Batch:
        """Every distinct example of every run."""
        return self.examples.everything
