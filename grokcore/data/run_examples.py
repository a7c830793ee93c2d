"""One run's own examples: its split, the classes it is trained on, and the order of its minibatches.

Shapes: N rows of the task's table, D distinct examples, B examples of a minibatch.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grokcore.data.deduplication import DistinctExamples
from grokcore.data.split import split
from grokcore.lazy_torch import torch
from grokcore.numerics.random_streams import hashed, stream
from grokcore.run_config import RunConfig


class RunExamples:
    """What one run learns from, of the examples that its network can tell apart."""

    def __init__(self, config: RunConfig, shared: DistinctExamples) -> None:
        self.config = config
        self.train_rows, self.val_rows = split(config)
        self.train_counts = shared.counts(self.train_rows)
        """(D,): how often each distinct example trains."""
        self.val_counts = shared.counts(self.val_rows)
        """(D,): how often each validates."""
        self.targets = shared.targets
        """(D,) class of each distinct example in this run: with label noise, that of some training rows is wrong."""
        if config.task.label_noise:
            self.targets = shared.targets.copy()
            self.targets[self.train_rows] = config.task.train_targets(self.train_rows, config.seed)
        self._key = torch.tensor(stream(config.seed, "batches"))
        self._epoch, self._order = -1, self.train_rows

    @property
    def batch_size(self) -> int:
        """Examples per optimizer step."""
        return len(self.train_rows) if self.config.batch == "full" else int(self.config.batch)

    def minibatch(self, step: int) -> npt.NDArray[np.int64]:
        """Return the table's rows (B,) that update number `step` learns from.

        Each epoch has a random order of its own, the order of one hash a row; what is left of it at its end, less than
        a minibatch, is not used.
        """
        size = self.batch_size
        epoch, place = divmod(step, len(self.train_rows) // size)
        if epoch != self._epoch:
            codes = hashed(hashed(self._key, epoch), torch.from_numpy(self.train_rows))
            self._epoch, self._order = epoch, self.train_rows[np.argsort(codes.numpy(), kind="stable")]
        return self._order[place * size : (place + 1) * size]
