"""Files that are either the old one or the whole new one: written beside their place, flushed, then renamed."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path, *, make_folder: bool = True) -> Iterator[Path]:
    """Yield a temporary path in `path`'s folder; on leaving without an error it takes `path`'s place at once.

    The suffix is kept, since writers choose their format by it. Missing folders are made, unless told not to: where a
    disk is not mounted, nothing should be written to what lies beneath. An error, or a kill, leaves what stood at
    `path` as it was; what a kill left beside it is removed at the next call.
    """
    path = Path(path)
    if make_folder:
        path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    temporary = Path(name)
    try:
        # A lock dies with its process: what lies there without one was left by a process that was killed.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _clean(path, temporary.stat().st_mtime)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        # mkstemp gives 0600; a result is as readable as any other file of its writer.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)


ABANDONED_SECONDS = 60.0
"""Age from which a temporary file that nobody holds was left behind."""


def _clean(path: Path, now: float) -> None:
    """Remove temporary files of `path` that a killed process left behind; what prevents it prevents nothing else."""
    for left in path.parent.glob(f".{glob.escape(path.stem)}-????????{glob.escape(path.suffix)}"):
        with contextlib.suppress(OSError), left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if now - left.stat().st_mtime > ABANDONED_SECONDS:
                left.unlink()


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write `content` to `path`, whole or not at all, and return the path."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` as UTF-8 to `path`, whole or not at all, and return the path."""
    return write_bytes(path, text.encode())
