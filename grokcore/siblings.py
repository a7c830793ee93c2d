"""Siblings: whether the packages that stand beside this one are found as ours, or another of the same name before."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

OURS = Path(__file__).parents[1]
"""Where grokcore lies, and with it analysis, sweeps and cluster."""


def require_siblings(*names: str) -> None:
    """Raise `ImportError` with the remedy if one of our packages would be imported from somewhere else.

    Their names are plain words: a script's own ``analysis.py`` beside it is found before them.
    """
    for name in names:
        found = _place(name)
        if found is not None and found.parent.parent != OURS and (OURS / name).is_dir():
            there = found.parent if found.name == "__init__.py" else found
            raise ImportError(
                f"Grokmap's package {name!r} is hidden by {there}, which Python finds first. Rename that, start Python "
                "in another folder, or keep the script's folder out of Python's path: python -P."
            )


def _place(name: str) -> Path | None:
    """Return the file that a package of this name is, or would be, imported from."""
    module = sys.modules.get(name)
    try:
        spec = module.__spec__ if module is not None else importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    origin = getattr(module, "__file__", None) or (spec.origin if spec is not None else None)
    return Path(origin).resolve() if origin else None
