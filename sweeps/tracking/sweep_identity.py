"""The identity of a sweep: made once, kept in its folder, carried by everything that MLflow has of it.

A name is not enough: a folder that was deleted and begun anew, or a sweep of the same name on another host, is another
sweep, though both stand under one name in MLflow.
"""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from pathlib import Path
from typing import Final

from grokcore.errors import DataError

FILE: Final = "sweep_id"
"""Name of the file in the sweep's folder."""

_DIGITS = re.compile(r"[0-9a-f]{32}")


def sweep_identity(path: Path) -> str:
    """Return the identity of the sweep in folder `path`, 32 hexadecimal digits, made at the first call.

    Raises `DataError` if the folder cannot be written, or if the file holds something else.
    """
    file = path / FILE
    try:
        if not file.exists():
            _make(file)
        found = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: {error}. It holds the sweep's identity, which MLflow's runs carry.") from None
    if not _DIGITS.fullmatch(found):
        raise DataError(f"{file} holds {found[:40]!r}, not 32 digits 0-9 a-f. Delete it, and a new identity is made.")
    return found


def _make(file: Path) -> None:
    """Write a new identity, unless another process has just done so: whoever links first wins."""
    handle, name = tempfile.mkstemp(prefix=f".{FILE}-", dir=file.parent)
    try:
        with os.fdopen(handle, "w") as temporary:
            temporary.write(f"{uuid.uuid4().hex}\n")
            temporary.flush()
            os.fsync(temporary.fileno())
        Path(name).chmod(0o644)
        file.hardlink_to(name)
    except FileExistsError:
        return
    finally:
        Path(name).unlink()
