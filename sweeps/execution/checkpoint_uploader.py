"""CheckpointUploader: where a worker puts the checkpoints of its cohort, and gets them from."""

from __future__ import annotations

import io
import uuid
from typing import Any, Final

import ray

from sweeps.store.checkpoint_store import checkpoint_name
from sweeps.store.storage import Place, place

PART_BYTES: Final = 32 * 2**20
"""Bytes that go over Ray at a time: the checkpoint of a card's cohort is larger than Ray's object store."""


class CheckpointUploader:
    """Writes one cohort's checkpoints to a storage that this host sees, or sends them to the driver's host over Ray."""

    def __init__(self, cohort: str, store: Any, storage: str | None) -> None:
        self._cohort, self._store = cohort, store
        self._place: Place | None = place(storage) if storage is not None else None

    def upload(self, content: bytes) -> None:
        """Put a checkpoint in place of the last one; it vanishes if the cohort is over elsewhere."""
        if self._place is None:
            self._send(content)
            return
        name = checkpoint_name(self._cohort)
        # Asked twice: a worker that is cut off writes nothing, one that was slow takes back what it wrote.
        if self._wanted():
            self._place.write(name, io.BytesIO(content))
            if not self._wanted():
                self._place.delete(name)

    def _send(self, content: bytes) -> None:
        upload = uuid.uuid4().hex
        for start in range(0, max(1, len(content)), PART_BYTES):
            part, last = content[start : start + PART_BYTES], start + PART_BYTES >= len(content)
            ray.get(self._store.save_part.remote(self._cohort, upload, start, part, last))

    def _wanted(self) -> bool:
        return bool(ray.get(self._store.wants.remote(self._cohort)))

    def fetch(self) -> bytes | None:
        """Return the last checkpoint, or None."""
        if self._place is not None:
            return self._place.read(checkpoint_name(self._cohort))
        parts: list[bytes] = []
        while True:
            part: bytes | None = ray.get(self._store.fetch_part.remote(self._cohort, sum(map(len, parts)), PART_BYTES))
            if part is None:
                return None
            parts.append(part)
            if len(part) < PART_BYTES:
                return b"".join(parts)
