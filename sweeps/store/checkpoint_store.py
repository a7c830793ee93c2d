"""CheckpointStore: an actor beside the driver that holds the checkpoints of unfinished cohorts.

Checkpoints travel to it over Ray, so that workers and driver need no file system in common and a cohort can go on on
another host. Where the spec names a storage that all hosts see, workers write them there themselves and only ask the
store whether they are still wanted: a cohort that is over leaves none behind. Its process imports nothing heavy.
"""

from __future__ import annotations

import io
from collections import Counter

from sweeps.store.storage import place

FOLDER = "checkpoints"
"""Folder of checkpoints, in a sweep's own or in its storage."""


def checkpoint_name(cohort: str) -> str:
    """Return the name of the file that holds a cohort's checkpoint."""
    return f"{FOLDER}/{cohort}.pt"


class CheckpointStore:
    """Keeps one checkpoint a cohort, each in place of the one before it, and the weights of runs at single steps."""

    def __init__(self, folder: str, storage: str) -> None:
        self._results, self._place = place(folder), place(storage)
        self._place.make(FOLDER)
        self._over: set[str] = set()
        self._lives: Counter[str] = Counter()
        self._parts: dict[str, tuple[str, io.BytesIO]] = {}

    def begin(self, cohort: str) -> int:
        """Note that a worker takes up a cohort; return how many did before it in this session."""
        self._lives[cohort] += 1
        return self._lives[cohort] - 1

    def wants(self, cohort: str) -> bool:
        """Say whether a cohort's checkpoints are wanted: a worker may be late, or wait for a cohort that is over."""
        return cohort not in self._over

    def save_part(self, cohort: str, upload: str, start: int, part: bytes, last: bool) -> None:
        """Take a part of a checkpoint; with the last it takes the old one's place, unless the cohort is over.

        Parts of an upload come in order; those of a worker that another one has replaced are dropped.
        """
        if start == 0:
            self._parts[cohort] = upload, io.BytesIO()
        whose, content = self._parts.get(cohort, ("", io.BytesIO()))
        if whose != upload or content.tell() != start:
            return
        content.write(part)
        if last:
            del self._parts[cohort]
            content.seek(0)
            if self.wants(cohort):
                self._place.write(checkpoint_name(cohort), content)

    def fetch_part(self, cohort: str, start: int, size: int) -> bytes | None:
        """Return `size` bytes of the cohort's last checkpoint, fewer at its end; None if it has none."""
        content = self._place.read(checkpoint_name(cohort))
        return None if content is None else content[start : start + size]

    def forget(self, cohort: str) -> None:
        """Delete the checkpoint of a cohort that is over, and refuse those that are still on their way."""
        self._over.add(cohort)
        self._place.delete(checkpoint_name(cohort))

    def save_weights(self, run_id: str, step: int, content: bytes) -> None:
        """Keep `content` as the weights of a run at a step, in the sweep's folder."""
        folder = f"weights/{run_id}"
        self._results.make(folder)
        self._results.write(f"{folder}/{step:08d}.safetensors", io.BytesIO(content))
