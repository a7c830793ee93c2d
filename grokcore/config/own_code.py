"""Functions of one's own, named in a configuration as ``"my_nets:build"``.

A configuration may come from a file of somebody else's, so a name in it must not reach just any code: only what lies in
a folder that the user named (`grokcore.config.folders.use_folder`), in the folder the program was started in, in the
program itself, or in an installed package that says, by an entry point of a group ``grokmap.…``, that it is for this.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from grokcore.config.folders import FAMILIES, folders, import_file
from grokcore.errors import ConfigError

SITES = ("site-packages", "dist-packages")
"""Folders of installed packages, which may lie beneath the folder a program was started in."""


def own_function(name: str) -> Callable[..., Any]:
    """Return the function that ``module:function`` names; raises `ConfigError` if it is not there, or not one's own."""
    module_name, _, function = name.partition(":")
    if not module_name.replace(".", "_").isidentifier() or not function.isidentifier():
        raise ConfigError([f'{name!r}: should be "module:function", such as "my_nets:build".'])
    module = _module(module_name, name)
    found = getattr(module, function, None)
    if not callable(found):
        raise ConfigError([f"{name!r}: {module_name} ({module.__file__}) has no function {function!r}."])
    return cast("Callable[..., Any]", found)


def _module(module_name: str, name: str) -> ModuleType:
    relative = Path(*module_name.split("."))
    for folder in folders():
        for path in (folder / relative.with_suffix(".py"), folder / relative / "__init__.py"):
            if path.is_file():
                return import_file(path)
    if module_name == "__main__":
        return sys.modules["__main__"]
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # where a console script was started is not on its path
    try:
        found = importlib.util.find_spec(module_name)
    except (ImportError, ValueError):
        found = None
    if found is None or found.origin is None:
        used = ", ".join(map(str, folders())) or "no folder of components"
        raise ConfigError(
            [f"{name!r}: there is no {relative}.py in {used}, nor in {Path.cwd()}; name its folder as components."]
        )
    if not _is_own(module_name, Path(found.origin)):
        raise ConfigError(
            [
                f"{name!r}: {module_name} is neither in a folder of components nor in {Path.cwd()}, nor in a package "
                "with an entry point for Grokmap; copy the function into a file of your own that calls it."
            ]
        )
    try:
        return importlib.import_module(module_name)
    except Exception as error:
        raise ConfigError([f"{name!r}: could not be imported ({type(error).__name__}: {error})."]) from error


def _is_own(module_name: str, origin: Path) -> bool:
    top = module_name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return False
    here = origin.resolve().is_relative_to(Path.cwd().resolve())
    if here and not any(site in origin.parts for site in SITES):
        return True
    points = (point for family in FAMILIES for point in metadata.entry_points(group=f"grokmap.{family}"))
    return any(point.module.partition(".")[0] == top for point in points)
