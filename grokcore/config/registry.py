"""Registries: the members of a family by name: the package's, those of installed packages and of folders of one's own.

A family (``tasks/``, ``models/``, …) is a folder with a ``base.py`` and one file a member; the file's name is the
member's. Two more places are looked at, so that nobody has to change the package to add to it:

- entry points of installed packages, in the group ``grokmap.tasks`` (``.models``, …): name = module, or module:Class;
- folders of components (`grokcore.config.folders`): ``FOLDER/tasks/my_task.py`` is the task ``my_task``.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from grokcore.config.component import Component
from grokcore.config.folders import folders, import_file
from grokcore.errors import ConfigError, unknown_name

T = TypeVar("T")
C = TypeVar("C", bound=Component)


@functools.cache
def _entry_points(path: tuple[str, ...]) -> tuple[metadata.EntryPoint, ...]:
    """Return what packages installed on a path add to any family; finding it takes long, so it is found once."""
    points = (point for package in metadata.distributions(path=list(path)) for point in package.entry_points)
    return tuple(point for point in points if point.group.startswith("grokmap."))


class Registry(Generic[T]):
    """The members of one family: ``Registry("grokcore.tasks", Task, "task")`` finds ``grokcore/tasks/*.py``."""

    def __init__(self, package: str, base: type[T], kind: str) -> None:
        self.package, self.base, self.kind = package, base, kind
        self.family = package.rpartition(".")[2]

    @property
    def names(self) -> tuple[str, ...]:
        """Return all members' names, sorted."""
        return self._names(folders())

    @functools.cache  # noqa: B019 - registries live as long as the process
    def _names(self, used: tuple[Path, ...]) -> tuple[str, ...]:
        return tuple(sorted({*self._own, *self._installed, *self._in_folders(used)}))

    @functools.cached_property
    def _own(self) -> frozenset[str]:
        """The package's members: all files but base.py and those that begin with _."""
        path = importlib.import_module(self.package).__path__
        found = (module.name for module in pkgutil.iter_modules(path) if not module.ispkg)
        return frozenset(name for name in found if name != "base" and not name.startswith("_"))

    @functools.cached_property
    def _installed(self) -> dict[str, metadata.EntryPoint]:
        group = f"grokmap.{self.family}"
        return {point.name: point for point in _entry_points(tuple(sys.path)) if point.group == group}

    def _in_folders(self, used: tuple[Path, ...]) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for folder in used:
            for path in sorted((folder / self.family).glob("*.py")):
                if path.stem.startswith("_"):
                    continue
                if path.stem in self._own or path.stem in self._installed:
                    raise ConfigError([f"{path}: there is a {self.kind} {path.stem!r} already; rename the file."])
                found.setdefault(path.stem, path)
        return found

    @property
    def added(self) -> tuple[str, ...]:
        """Return the names of the members that are not the package's own, sorted."""
        return tuple(name for name in self.names if name not in self._own)

    def member(self, name: str) -> type[T]:
        """Return the class of the member `name`; raises `ConfigError` with the nearest name if there is none."""
        if name not in self.names:
            raise ConfigError([unknown_name(self.kind, name, self.names)])
        return self._member(name, folders())

    @functools.cache  # noqa: B019 - registries live as long as the process
    def _member(self, name: str, used: tuple[Path, ...]) -> type[T]:
        if name in self._own:
            return self._only_class(importlib.import_module(f"{self.package}.{name}"))
        if name in self._installed:
            loaded = self._installed[name].load()
            return self._only_class(loaded) if isinstance(loaded, ModuleType) else self._checked_class(name, loaded)
        return self._only_class(import_file(self._in_folders(used)[name]))

    def _only_class(self, module: ModuleType) -> type[T]:
        """Return the one public class of the family that is defined in a module."""
        found = [
            value
            for name, value in inspect.getmembers(module, inspect.isclass)
            if issubclass(value, self.base) and value.__module__ == module.__name__
            if not inspect.isabstract(value) and not name.startswith("_")
        ]
        if len(found) != 1:
            names = ", ".join(value.__name__ for value in found) or "none"
            raise ConfigError(
                [f"{module.__file__}: should define exactly one subclass of {self.base.__name__}, found {names}."]
            )
        return found[0]

    def _checked_class(self, name: str, value: Any) -> type[T]:
        if not (inspect.isclass(value) and issubclass(value, self.base)):
            raise ConfigError([f"{self.kind} {name!r}: its entry point is no subclass of {self.base.__name__}."])
        return value

    def members(self) -> Iterator[tuple[str, type[T]]]:
        """Yield every member's name and class."""
        for name in self.names:
            yield name, self.member(name)


class ComponentRegistry(Registry[C]):
    """A family whose members are components: each is written as ``{"name": ..., **fields}`` in a configuration."""

    def name_of(self, component: C) -> str:
        """Return the name under which a member's class is found."""
        kind = type(component)
        last = kind.__module__.rpartition(".")[2]
        if last in self.names and self.member(last) is kind:
            return last
        return next((name for name, member in self.members() if member is kind), last)

    def from_section(self, section: object, where: str, complaints: list[str]) -> C | None:
        """Build a member from ``{"name": ..., **fields}``, or from its bare name."""
        if isinstance(section, self.base):
            return section
        if isinstance(section, str):
            section = {"name": section}
        if not isinstance(section, Mapping) or "name" not in section:
            complaints.append(f"{where} = {section!r}: should be a table with a name. Known: {', '.join(self.names)}.")
            return None
        if section["name"] not in self.names:
            complaints.append(f"{where}: {unknown_name(self.kind, section['name'], self.names)}")
            return None
        fields = {key: value for key, value in section.items() if key != "name"}
        return self.member(section["name"]).from_section(fields, where, complaints)

    def to_section(self, component: C) -> dict[str, Any]:
        """Return ``{"name": ..., **fields}``, from which `from_section` builds an equal component."""
        return {"name": self.name_of(component), **component.to_section()}
