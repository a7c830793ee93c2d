"""Keeper: an actor beside the driver that holds the checkpoints of unfinished cohorts.

Checkpoints travel to it over Ray, so that workers and driver need no file system in common and a cohort can go on on
another host. Where the spec names a storage that all hosts see, workers write them there themselves and only ask the
keeper whether they are still wanted: a cohort that is over leaves none behind. Its process imports nothing heavy.
"""

from __future__ import annotations

import io

from sweeps.store.storage import place

FOLDER = "checkpoints"
"""Folder of checkpoints, in a sweep's own or in its storage."""


def checkpoint_name(cohort: str) -> str:
    """Return the name of the file that holds a cohort's checkpoint."""
    return f"{FOLDER}/{cohort}.pt"


class Keeper:
    """Keeps one checkpoint a cohort, each in place of the one before it, and the weights of runs at single steps."""

    def __init__(self, folder: str, storage: str) -> None:
        self._results, self._place = place(folder), place(storage)
        self._place.make(FOLDER)
        self._over: set[str] = set()

    def wants(self, cohort: str) -> bool:
        """Say whether a cohort's checkpoints are wanted: a worker may be late, or wait for a cohort that is over."""
        return cohort not in self._over

    def keep(self, cohort: str, content: bytes) -> None:
        """Keep `content` as the cohort's checkpoint, unless the cohort is over."""
        if self.wants(cohort):
            self._place.write(checkpoint_name(cohort), io.BytesIO(content))

    def fetch(self, cohort: str) -> bytes | None:
        """Return the cohort's last checkpoint, or None."""
        return self._place.read(checkpoint_name(cohort))

    def forget(self, cohort: str) -> None:
        """Delete the checkpoint of a cohort that is over, and refuse those that are still on their way."""
        self._over.add(cohort)
        self._place.delete(checkpoint_name(cohort))

    def keep_weights(self, run_id: str, step: int, content: bytes) -> None:
        """Keep `content` as the weights of a run at a step, in the sweep's folder."""
        folder = f"weights/{run_id}"
        self._results.make(folder)
        self._results.write(f"{folder}/{step:08d}.safetensors", io.BytesIO(content))
