"""One run's own examples: its split, the classes it is trained on, and the order of its minibatches.

Shapes: N rows of the task's table, D distinct examples.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from grokcore.data.deduplication import examples_of
from grokcore.data.split import split
from grokcore.numerics.random_streams import generator
from grokcore.run_config import RunConfig


class RunExamples:
    """What one run learns from; minibatches come from a generator of its own."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.train_rows, self.val_rows = split(config)
        shared = examples_of(config)
        self.train_counts = shared.counts(self.train_rows)
        """(D,): how often each distinct example trains."""
        self.val_counts = shared.counts(self.val_rows)
        """(D,): how often each validates."""
        self.targets = shared.targets
        """(D,) class of each distinct example in this run: with label noise, that of some training rows is wrong."""
        if config.task.label_noise:
            self.targets = shared.targets.copy()
            self.targets[self.train_rows] = config.task.train_targets(self.train_rows, config.seed)
        self.generator = generator(config.seed, "batches")
        self.order: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.cursor = 0

    @property
    def batch_size(self) -> int:
        """Examples per optimizer step."""
        return len(self.train_rows) if self.config.batch == "full" else int(self.config.batch)

    def next_batch(self, size: int) -> npt.NDArray[np.int64]:
        """Return the next `size` table rows of the run's own random order; an incomplete rest of an epoch is left."""
        if self.cursor + size > len(self.order):
            self.order = self.train_rows[torch.randperm(len(self.train_rows), generator=self.generator).numpy()]
            self.cursor = 0
        self.cursor += size
        return self.order[self.cursor - size : self.cursor]

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return what a checkpoint must hold to go on with the same minibatches."""
        return {
            "generator": self.generator.get_state(),
            "order": torch.from_numpy(self.order.copy()),
            "cursor": torch.tensor(self.cursor),
        }

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take over what `tensors` returned."""
        self.generator.set_state(tensors["generator"])
        self.order = tensors["order"].numpy()
        self.cursor = int(tensors["cursor"])
