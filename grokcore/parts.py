"""Parts: frozen, validated configuration dataclasses, and the families of them that folders hold.

A part's fields carry their allowed range in their type (``Annotated[float, Ge(0)]``); pydantic checks them,
and all complaints come in one `ConfigError`. A family (``tasks/``, ``models/``, ...) is a folder with a
``base.py`` and one file per member; the file's name is the member's name, found by scanning.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import math
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Generic, Self, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import ConfigDict, InstanceOf, TypeAdapter, ValidationError

from grokcore.errors import ConfigError, unknown_name


@functools.cache
def _adapters(part: Any) -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(part, include_extras=True)
    plain = ConfigDict(arbitrary_types_allowed=True)
    adapters = {}
    for field in dataclasses.fields(part):
        hint = hints[field.name]
        bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        # A section holds a part, which has checked itself.
        if isinstance(bare, type) and issubclass(bare, Part):
            hint = Annotated[bare, InstanceOf()]  # type: ignore[type-arg]
        adapters[field.name] = TypeAdapter(hint) if dataclasses.is_dataclass(bare) else TypeAdapter(hint, config=plain)
    return adapters


def check_fields(part: Any, values: Mapping[str, Any]) -> list[str]:
    """Return the complaints about those of `values` that are fields of `part`, each looked at alone."""
    complaints: list[str] = []
    for name, adapter in _adapters(part).items():
        if name in values:
            _checked(adapter, name, values[name], complaints)
    return complaints


def _checked(adapter: TypeAdapter[Any], name: str, value: object, complaints: list[str]) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    truth = isinstance(value, bool)
    try:
        value = adapter.validate_python(value)
    except ValidationError as error:
        reasons = dict.fromkeys(detail["msg"][0].lower() + detail["msg"][1:] for detail in error.errors())
        complaints.append(f"{name} = {value!r}: {', or '.join(reasons)}.")
        return value
    if truth and not isinstance(value, bool):
        complaints.append(f"{name} = {bool(value)}: should be a number.")
    if isinstance(value, float) and not math.isfinite(value):
        complaints.append(f"{name} = {value!r}: should be a finite number.")
    return value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """The base of every configuration dataclass: checks its fields when made, reads from and writes to plain dicts."""

    def __post_init__(self) -> None:
        complaints: list[str] = []
        kind: Any = type(self)
        for name, adapter in _adapters(kind).items():
            object.__setattr__(self, name, _checked(adapter, name, getattr(self, name), complaints))
        if not complaints:
            complaints.extend(self.complaints())
        if complaints:
            raise ConfigError(complaints)

    def complaints(self) -> Iterator[str]:
        """Yield what is wrong between fields that are each right alone; nothing, unless a part says otherwise."""
        yield from ()

    @classmethod
    def from_section(cls, section: Mapping[str, Any], where: str, complaints: list[str]) -> Self | None:
        """Build the part from a plain mapping; append every complaint, prefixed by `where`, and return None if any."""
        fields = {field.name: field for field in dataclasses.fields(cls)}
        mine = [f"{where}: {unknown_name('field', name, fields)}" for name in section if name not in fields]
        for name, field in fields.items():
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if required and name not in section:
                mine.append(f"{where}.{name} is missing.")
        if mine:
            # Say what is wrong with the values too, so that one error is enough.
            mine += [f"{where}.{complaint}" for complaint in check_fields(cls, section)]
            complaints.extend(mine)
            return None
        try:
            return cls(**section)
        except ConfigError as error:
            complaints.extend(f"{where}.{complaint}" for complaint in error.complaints)
            return None

    def to_section(self) -> dict[str, Any]:
        """Return the part as a plain dict of JSON values."""
        section = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in section.items()}


P = TypeVar("P", bound=Part)


class Family(Generic[P]):
    """The members of one folder: ``Family("grokcore.tasks", Task)`` finds ``grokcore/tasks/*.py``."""

    def __init__(self, package: str, base: type[P], kind: str) -> None:
        self.package, self.base, self.kind = package, base, kind

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Return the members' names, sorted: the file names of the folder but base.py and those with a leading _."""
        path = importlib.import_module(self.package).__path__
        found = (module.name for module in pkgutil.iter_modules(path))
        return tuple(sorted(name for name in found if name != "base" and not name.startswith("_")))

    @functools.cache  # noqa: B019 - families live as long as the process
    def member(self, name: str) -> type[P]:
        """Return the one class of the family that is defined in the file `name`."""
        if name not in self.names:
            raise ConfigError([unknown_name(self.kind, name, self.names)])
        module = importlib.import_module(f"{self.package}.{name}")
        own = [
            value
            for _, value in inspect.getmembers(module, inspect.isclass)
            if issubclass(value, self.base) and value.__module__ == module.__name__ and not inspect.isabstract(value)
        ]
        if len(own) != 1:
            raise TypeError(f"{module.__name__} should define exactly one {self.base.__name__}, found {len(own)}.")
        return own[0]

    def name_of(self, part: P) -> str:
        """Return the name of a member's instance: the file that defines its class."""
        return type(part).__module__.rpartition(".")[2]

    def from_section(self, section: object, where: str, complaints: list[str]) -> P | None:
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

    def to_section(self, part: P) -> dict[str, Any]:
        """Return ``{"name": ..., **fields}``, from which `from_section` builds an equal part."""
        return {"name": self.name_of(part), **part.to_section()}
