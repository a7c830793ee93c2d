"""InFlight: the curves so far of runs that are being trained, as the last checkpoints of their cohorts have them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt

from grokcore.engine.checkpoint import from_bytes
from grokcore.errors import CheckpointError
from sweeps.store.checkpoint_store import FOLDER

LARGEST = 2**26
"""Bytes beyond which a checkpoint is not read for its curves: most of it is weights."""

Curves = dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]
"""By a run's identity: the steps at which it was evaluated, and its validation accuracy there."""


class InFlight:
    """Reads the checkpoints of a sweep, each once for every time it is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._read: dict[Path, tuple[int, Curves]] = {}

    def curves(self, finished: Collection[str]) -> Curves:
        """Return the curves so far of all runs that are not finished."""
        there: dict[Path, tuple[int, Curves]] = {}
        for path in sorted(self._folder.glob("*.pt")):
            try:
                status = path.stat()
                before = self._read.get(path)
                changed = before is None or before[0] != status.st_mtime_ns
                there[path] = (
                    (status.st_mtime_ns, _curves(path, status.st_size)) if changed or before is None else before
                )
            except OSError:
                # It is over: its checkpoint was deleted just now.
                continue
        self._read = there
        found = {run_id: curve for _, curves in there.values() for run_id, curve in curves.items()}
        return {run_id: curve for run_id, curve in found.items() if run_id not in finished}


def _curves(path: Path, size: int) -> Curves:
    """Return the curves in a checkpoint; none of one that cannot be read, which is said where its cohort goes on."""
    if size > LARGEST:
        return {}
    try:
        tensors, facts = from_bytes(path.read_bytes())
        names = list(facts["names"][0])
        step, accuracy = names.index("step"), names.index("val_accuracy")
        seen = [tensors[f"run.{index}.seen"].numpy() for index in range(len(facts["left"]))]
        return {str(run): (rows[:, step], rows[:, accuracy]) for run, rows in zip(facts["left"], seen, strict=True)}
    except (CheckpointError, KeyError, IndexError, ValueError, TypeError, AttributeError):
        return {}
