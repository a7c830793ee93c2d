"""Addresses that were given where a folder or a file is meant: what to do instead."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(.+)", re.IGNORECASE)
_TRACKERS = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")


def address_of(target: Path | str) -> str | None:
    """Return the address that a target is, whose slashes a path may have lost; None where it is none.

    >>> address_of(Path("http://127.0.0.1:5000/#/experiments/1")), address_of("results/default")
    ('http://127.0.0.1:5000/#/experiments/1', None)
    """
    found = _ADDRESS.fullmatch(str(target))
    if found is None or Path(target).exists():
        return None
    slashes = ":///" if found[1].lower() == "sqlite" else "://"
    return f"{found[1]}{slashes}{found[2]}"


def instead_of(address: str, then: str = "") -> str:
    """Return what to do with an address, and `then`, in a command, with the table that comes of it."""
    scheme = address.partition(":")[0].partition("+")[0].lower()
    if scheme not in _TRACKERS:
        return f"{address}: an address; copy the sweep's folder here and name that."
    root = shlex.quote(address.partition("#")[0].rstrip("/"))
    return f"{address}: an address; name an experiment there: grokmap import NAME --mlflow {root}{then}"
