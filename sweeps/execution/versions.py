"""Versions: what must be the same on all hosts of a cluster, and on the laptop that launched it."""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

PACKAGES = ("ray", "torch", "numpy")
"""Packages whose versions decide whether hosts understand each other and make the same bits."""
SOURCES = ("grokcore", "sweeps")
"""Our own packages that workers run."""
REMEDY = "Launch again, so that all hosts have this code and cluster/requirements.txt: ray up -y cluster.yaml."
"""What to do about a difference."""


def versions() -> dict[str, str]:
    """Return the versions here: Python's minor, packages without the suffix of their build, and our own sources."""
    found = {"Python": f"{sys.version_info.major}.{sys.version_info.minor}", "Grokmap": _sources()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found


@functools.cache
def _sources() -> str:
    """Return the first digits of the hash of our sources: a host's copy may be old."""
    root, digest = Path(__file__).resolve().parents[2], hashlib.sha256()
    for path in sorted(path for name in SOURCES for path in (root / name).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return f"source {digest.hexdigest()[:8]}"


def differences(found: Mapping[str, Mapping[str, str]], remedy: str = REMEDY) -> Iterator[str]:
    """Yield a sentence for each version that differs between hosts, given the versions of each by its name."""
    names = dict.fromkeys(name for versions in found.values() for name in versions)
    for name in names:
        hosts: dict[str, list[str]] = {}
        for host, have in found.items():
            hosts.setdefault(have.get(name, "none"), []).append(host)
        if len(hosts) > 1:
            yield f"{name} is {', but '.join(f'{v} on {_listed(who)}' for v, who in hosts.items())}. {remedy}"


def _listed(names: list[str]) -> str:
    shown = names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"]
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else shown[0]


if __name__ == "__main__":
    print(json.dumps(versions()))
