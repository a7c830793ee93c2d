"""Places to write to: looked at before any work is done for them, and never a place that is being read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from grokcore.errors import OutputError


def check_outputs(outputs: Iterable[Path], inputs: Iterable[Path] = ()) -> None:
    """Raise `OutputError` if a file of `outputs` cannot be written, or is one of the files that are read, `inputs`.

    A path is the same file by whatever way it leads there: through links, relative, and in other letter case too, since
    many disks do not tell case apart.
    """
    read = [path for path in inputs if path.exists()]
    places = {_place(path) for path in read}
    for output in outputs:
        if _place(output) in places or any(output.exists() and output.samefile(path) for path in read):
            raise OutputError(f"{output} is read, so it is not written over; give another place for what is written.")
        if output.is_dir():
            raise OutputError(f"{output} is a folder, where a file is to be written; give another place for it.")
        _check_folder(output.parent)


def sentence(error: OSError) -> str:
    """Return what an error of the operating system says of a file, in one sentence with a remedy."""
    where = next((str(name) for name in (error.filename2, error.filename) if name is not None), "a file")
    return f"{where}: {error.strerror or error}. Give another path, or make this one usable."


def _place(path: Path) -> str:
    return os.path.realpath(path).casefold()


def _check_folder(folder: Path) -> None:
    there = folder
    while not there.exists():
        if there.is_symlink():
            raise OutputError(f"{folder} cannot be written to: {there} is a link to what does not exist.")
        there = there.parent
    if not there.is_dir():
        raise OutputError(f"{folder} cannot be written to: {there} is a file, not a folder. Give another folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"{folder} cannot be written to: {there} lets this user write nothing. Give another folder.")
