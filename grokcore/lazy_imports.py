"""Lazy imports: a package's public names, imported when first used, so that importing the package waits for nothing."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_imports(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a package's ``__getattr__`` and ``__dir__`` (PEP 562): `homes` says which module has each public name."""

    def find(name: str) -> Any:
        if name not in homes:
            # Given both, Python's own traceback adds "Did you mean", from the names of `__dir__`.
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}", name=name, obj=importlib.import_module(package)
            )
        return getattr(importlib.import_module(homes[name]), name)

    return find, lambda: sorted(homes)
