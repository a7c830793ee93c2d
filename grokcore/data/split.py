"""The split: which rows of the task's table train and which validate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grokcore.lazy_torch import torch
from grokcore.numerics.random_streams import generator
from grokcore.run_config import RunConfig


def split(config: RunConfig) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows of the task's table that train and those that validate, each in the table's order.

    A random permutation by seed; its first round(fraction · N) rows train. With split = "difference" the permutation is
    of the p differences a − b, and the first round(fraction · p) train with all their pairs. Runs of one seed are
    nested: a larger fraction adds rows to a smaller one's.
    """
    table, random = config.task.table, generator(config.seed, "split")
    if config.split == "random":
        order, cut = torch.randperm(config.task.examples, generator=random).numpy(), config.train_examples
        return np.sort(order[:cut]), np.sort(order[cut:])
    differences = (table.inputs[:, 0] - table.inputs[:, 1]) % table.symbols
    order = torch.randperm(table.symbols, generator=random).numpy()
    trains = np.isin(differences, order[: config.train_examples // table.symbols])
    return np.flatnonzero(trains), np.flatnonzero(~trains)
