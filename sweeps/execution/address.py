"""Address: where a Ray is that could be joined, and whether anything answers; Ray itself would wait for minutes."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import ray

from grokcore.errors import ConfigError

JOIN_SECONDS = 3.0
"""How long a cluster is given to answer."""


def found(address: str | None) -> str:
    """Return the address of the cluster to join, or "local" for an embedded Ray.

    Raises `ConfigError` if nothing answers where the user says that a cluster is.
    """
    given = asked_for(address)
    if given in ("local", "auto"):
        return given
    if not given:
        last = noted()
        return "local" if silence(last) else last
    if reason := silence(given):
        source = "--address" if address else "RAY_ADDRESS"
        raise ConfigError(
            [
                f"no Ray answers at {given!r} ({reason}), which is what {source} says: is it running (ray status), and "
                f"is this its HOST:PORT? {'Leave it out' if address else 'Unset it'}, or take --address local for a "
                "Ray of this sweep's own."
            ]
        )
    return given


def asked_for(address: str | None) -> str:
    """Return the address that the user named, here or in RAY_ADDRESS; empty if neither."""
    return address or os.environ.get("RAY_ADDRESS") or ""


def silence(address: str) -> str:
    """Return why nothing answers at an address; empty if something does."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return "no port is given"
    if host in ("127.0.0.1", "localhost"):
        # Ray listens on the node's own address and will call it there.
        host = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    try:
        socket.create_connection((host, int(port)), timeout=JOIN_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def noted() -> str:
    """Return the address of the cluster that was started last on this host, from where `ray.init` says it lies."""
    on_linux = sys.platform == "linux"
    folder = os.environ.get("RAY_TMPDIR") or (os.environ.get("TMPDIR") if on_linux else None) or "/tmp"
    path = Path(folder) / "ray" / "ray_current_cluster"
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
