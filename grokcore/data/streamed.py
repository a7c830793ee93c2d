"""Minibatches drawn on the device: the same rows in the same order as on a host, and nothing for the host to do.

The order of an epoch is that of one hash a row (`RunExamples.minibatch`), so that it can be sorted anywhere. Before a
stretch of steps begins, the rows of all its minibatches are drawn; each step looks its own up by a counter.

Shapes: K runs, B examples of a minibatch, T steps of a stretch, n training rows of the run that has most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from grokcore.data.batch import Batch
from grokcore.data.bucketed import Bucketed
from grokcore.data.run_examples import RunExamples
from grokcore.lazy_torch import torch
from grokcore.numerics.random_streams import hashed, stream

if TYPE_CHECKING:
    from torch import Tensor


class Streamed(Bucketed):
    """Minibatches of a counted step."""

    def __init__(
        self, runs: Sequence[RunExamples], device: torch.device, dtype: torch.dtype, counter: Tensor, longest: int
    ) -> None:
        super().__init__(runs, device, dtype, collects=False)
        self._counter, size = counter, int(self.size)
        counts = [len(run.train_rows) for run in runs]
        padded = [np.pad(run.train_rows, (0, max(counts) - len(run.train_rows))) for run in runs]
        self._train_rows = self.put(np.stack(padded))
        self._absent = torch.arange(max(counts), device=device) >= self.put(np.array(counts)).unsqueeze(1)
        self._keys = self.put(np.array([stream(run.config.seed, "batches") for run in runs]))
        self._an_epoch = np.array([count // size for count in counts])
        self._rows = torch.zeros(longest, len(runs), size, dtype=torch.long, device=device)
        self._inputs = self.put(self.table.inputs)
        self._weights = torch.full((len(runs), size), 1.0 / size, device=device)
        # (K, N): a row's class in each run, noise included.
        self._targets = self.put(np.stack([run.targets[self.shared.of_row] for run in runs]))

    def begin(self, steps: Sequence[int]) -> None:
        """Draw the rows of all minibatches of the stretch."""
        size, numbers = int(self.size), np.asarray(steps)[:, None]
        epochs, places = np.divmod(numbers, self._an_epoch)  # (T, K)
        first = epochs[0]
        drawn = []
        for later in range(int((epochs - first).max()) + 1):
            keys = hashed(self._keys, self.put(first + later))
            codes = hashed(keys.unsqueeze(1), self._train_rows).masked_fill_(self._absent, torch.iinfo(torch.long).max)
            drawn.append(self._train_rows.gather(1, codes.argsort(dim=1, stable=True)))
        orders = torch.stack(drawn)  # (epochs, K, n)
        chosen = orders[self.put(epochs - first), torch.arange(len(self.runs), device=self.device)]  # (T, K, n)
        at = self.put(places).unsqueeze(2) * size + torch.arange(size, device=self.device)
        self._rows[: len(numbers)].copy_(chosen.gather(2, at))

    def batch(self, i: int) -> Batch:  # noqa: ARG002 - the counter knows
        """Look the step's rows up."""
        rows = self._rows.index_select(0, self._counter)[0]
        inputs = self._inputs.index_select(0, rows.view(-1)).view(*rows.shape, -1)
        return self.trained_on(inputs, self._targets.gather(1, rows), self._weights, rows=rows, collects=False)
