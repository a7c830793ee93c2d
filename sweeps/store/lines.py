"""Files of lines that are only ever appended to: a line counts once its newline is on disk.

A crash can tear the last line only, and a torn line is cut off when the file is opened again. A line that was damaged
otherwise is named by its number, with what is lost by leaving it out and the command that does.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from grokcore.errors import DataError, GrokmapError

T = TypeVar("T")

DAMAGE = (GrokmapError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
"""What reading a damaged line may raise."""


def read(path: Path, offset: int = 0) -> Iterator[bytes]:
    """Yield the whole lines of a file from a byte on, each with its newline; nothing if there is no file."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if line.endswith(b"\n"):
                yield line


def parsed(path: Path, parse: Callable[[bytes], T], lost: str, offset: int = 0) -> Iterator[T]:
    """Yield what `parse` makes of each line; raises `DataError` with the line's number and what its loss would cost."""
    for number, line in enumerate(read(path, offset), start=1):
        try:
            yield parse(line)
        except DAMAGE as error:
            raise damaged(path, number + _newlines(path, offset), error, lost) from error


def damaged(path: Path, number: int, error: Exception, lost: str) -> DataError:
    """Return the error about line `number` of a file."""
    reason = str(error).strip() or type(error).__name__
    if isinstance(error, KeyError):
        reason = f"{reason} is missing"
    command = f"sed -i {number}d {shlex.quote(str(path))}"
    return DataError(f"{path}, line {number}: {reason.rstrip('.')}. Restore it from a backup, or: {command} ({lost}).")


def _newlines(path: Path, end: int) -> int:
    with path.open("rb") as file:
        return file.read(end).count(b"\n") if end else 0


def open_to_append(path: Path) -> Any:
    """Open a file of lines for appending, after cutting off a line that a crash tore."""
    file = path.open("ab+")
    end = file.seek(0, os.SEEK_END)
    keep = end
    while keep > 0:
        start = max(0, keep - 65536)
        file.seek(start)
        newline = file.read(keep - start).rfind(b"\n")
        if newline >= 0:
            keep = start + newline + 1
            break
        keep = start
    if keep < end:
        file.truncate(keep)
    return file


def append(file: Any, lines: Iterable[str], *, lasting: bool = True) -> None:
    """Append lines, and return once they are on disk, or if not `lasting` once the system has them."""
    text = "".join(f"{line}\n" for line in lines).encode()
    if not text:
        return
    with room(file.name):
        file.write(text)
        file.flush()
        if lasting:
            os.fsync(file.fileno())


@contextlib.contextmanager
def room(place: object) -> Iterator[None]:
    """Turn what a full, broken or read-only disk raises into a sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{place}: {reason}. Make room or mend the disk; the same command then goes on.") from error


@contextlib.contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn what a folder that cannot be written raises into a sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"{error.filename or path} cannot be written ({reason}); name another folder of results (--results), "
            "or make room."
        ) from error
