"""The process that writes a running sweep to MLflow, run by run as they finish; the sweep never waits for it."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from grokcore.errors import GrokmapError
from grokcore.records.run_record import RunRecord
from sweeps.tracking.mlflow_mirror import TOGETHER, Mirror, tracking_uri

POLL_SECONDS: Final = 1.0
"""How often the store is looked at while a sweep goes on."""

PATIENCE_SECONDS: Final = 60.0
"""How long an unreachable server is tried for after the sweep is over."""


class TrackingError(GrokmapError):
    """MLflow could not be written; the sweep itself is safe."""


def follow(path: Path, over: threading.Event) -> None:
    """Write runs as they finish until `over` is set and all are written; outlast a server that is away for a while."""
    mirror: Mirror | None = None
    lines, deadline = _Lines(path / "records.jsonl"), math.inf
    while True:
        ending = over.is_set()
        try:
            mirror = mirror or Mirror(path)
            for records in lines.batches():
                mirror.write_all(records)
                lines.done()
            if ending:
                mirror.write_sweep()
                return
        except GrokmapError:
            raise
        except Exception as error:  # MLflow raises its own errors, SQLAlchemy's, requests' and sqlite3's
            deadline = min(deadline, time.monotonic() + PATIENCE_SECONDS) if ending else math.inf
            if time.monotonic() >= deadline:
                raise TrackingError(f"MLflow at {tracking_uri(path.parent)} could not be written: {error}") from error
            mirror = None
        over.wait(POLL_SECONDS)
        if ending:
            time.sleep(POLL_SECONDS)


class _Lines:
    """The lines of a growing file, some at a time, each given again until it was `done`."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset, self._next = path, 0, 0

    def batches(self) -> Iterator[list[RunRecord]]:
        lines = self._whole()
        while some := list(itertools.islice(lines, TOGETHER)):
            self._next = self._offset + sum(map(len, some))
            yield [RunRecord.from_json(line) for line in some]

    def _whole(self) -> Iterator[bytes]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                yield line

    def done(self) -> None:
        self._offset = self._next


def main() -> None:
    """Follow the sweep in the folder given until standard input is closed, which is how its parent says it is over."""
    over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    with contextlib.suppress(OSError):
        os.nice(10)
    try:
        follow(Path(sys.argv[1]), over)
    except GrokmapError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
