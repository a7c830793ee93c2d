"""Which code made a file: versions of what it passed through, and the commit of this source tree."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from grokcore.version import VERSION

LIBRARIES = ("numpy", "scipy", "pandas", "torch", "matplotlib", "xarray")


def versions() -> dict[str, str]:
    """Return the versions of Grokmap, Python and the libraries that a map's numbers pass through."""
    found = {"grokmap": VERSION, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def code_revision() -> str | None:
    """Return the commit of the source tree this code runs from, with "+changes" if it differs; None outside of git."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)
        revision, changed = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no", "--", "..")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{revision}+changes" if changed else revision
