"""The process that writes a running sweep to MLflow and to its Optuna study's file; the sweep never waits for it."""

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
from sweeps.tracking.follower_process import OVER
from sweeps.tracking.mlflow_mirror import TOGETHER, Mirror, sole_writer
from sweeps.tracking.study_file import StudyFile
from sweeps.tracking.trouble import PassingTrackingError

POLL_SECONDS: Final = 1.0
"""How often the store is looked at while a sweep goes on."""

PATIENCE_SECONDS: Final = 20.0
"""How long a server that does not answer is tried for once the sweep is over."""


def follow(path: Path, over: threading.Event) -> None:
    """Write runs as they finish until `over` is set and all are written; outlast a server that is away for a while.

    Raises `TrackingError` at once where trying again cannot help.
    """
    lines, silent_since = _Lines(path / "records.jsonl"), math.inf
    with contextlib.ExitStack() as writing:
        mirror: Mirror | None = None
        while True:
            ending = over.is_set()
            try:
                if mirror is None:
                    writing.close()
                    writing.enter_context(sole_writer(path))
                    mirror = Mirror(path)
                    study = StudyFile(path, mirror.page)
                study.write([])
                for records in lines.batches():
                    mirror.write_all(records)
                    study.write(records)
                    lines.done()
                if ending:
                    study.close()
                    mirror.write_sweep()
                    return
                silent_since = math.inf
            except PassingTrackingError:
                silent_since = min(silent_since, time.monotonic())
                if ending and time.monotonic() >= silent_since + PATIENCE_SECONDS:
                    raise
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
    """Follow the sweep in the folder given until its driver says on standard input that it is over, or dies."""
    over = threading.Event()

    def wait() -> None:
        if sys.stdin.buffer.read() != OVER:
            # The driver died: the same command has a follower of its own. What is half written, that one completes.
            os._exit(1)
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
