"""What a family's members are, in words: fields with defaults, ranges and meaning, read from the members themselves."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import inspect
import itertools
import json
import re
import textwrap
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen

from grokcore.config.component import Component
from grokcore.config.registry import Registry

SIGNS = (
    (Ge, "ge", "≥"),
    (Gt, "gt", ">"),
    (Le, "le", "≤"),
    (Lt, "lt", "<"),
    (MinLen, "min_length", "length ≥"),
    (MaxLen, "max_length", "length ≤"),
)
"""A restriction's type, its field, and how it is written."""

WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text", type(None): "nothing"}
"""Plain types in words."""


@dataclass(frozen=True, kw_only=True)
class FieldEntry:
    """One setting of a member."""

    name: str
    values: str
    """What it may be, with its range: "number ≥ 0"."""
    default: str
    """As it is written in a specification; "" if it must be given."""
    meaning: str
    """The line under the field in the source."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One member of a family."""

    name: str
    summary: str
    """One sentence."""
    definition: str
    """The member's whole description, with its source in the literature where it has one."""
    facts: Mapping[str, str]
    """What the family says of every member, such as a measure's set."""
    fields: tuple[FieldEntry, ...]
    file: str
    """Where it is defined, from the folder of its package."""


def describe(registry: Registry[Any], name: str) -> Entry:
    """Describe a member; raises `ConfigError` with the nearest name if there is none."""
    return describe_class(registry.member(name), name)


def describe_class(member: Any, name: str) -> Entry:
    """Describe a component of no family, such as the run itself, under a name."""
    module = importlib.import_module(member.__module__)
    texts = [_unwrapped(inspect.cleandoc(text)) for text in (module.__doc__, member.__doc__) if text]
    return Entry(
        name=name,
        summary=texts[0].partition("\n\n")[0].rstrip("."),
        definition="\n\n".join(texts),
        facts={key: value for key in _facts(member) if (value := _fact(getattr(member, key, None)))},
        fields=tuple(_fields(member)) if dataclasses.is_dataclass(member) else (),
        file=_file(member),
    )


def _unwrapped(text: str) -> str:
    """Return a text with a line for each paragraph and for each point of a list; examples in Python are left out."""
    text = "\n\n".join(part for part in text.split("\n\n") if not part.lstrip().startswith(">>>"))
    return re.sub(r"(?<!\n)\n(?=[^\s-])", " ", text)


def _facts(member: type) -> list[str]:
    """Return the names of class variables that the family declares in its base and that are no constants."""
    declared = [name for kind in member.__mro__ for name in inspect.get_annotations(kind)]
    fields = {field.name for field in dataclasses.fields(member)} if dataclasses.is_dataclass(member) else set()
    return [name for name in dict.fromkeys(declared) if name.islower() and name[0] != "_" and name not in fields]


def _fact(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    words = value if isinstance(value, (tuple, frozenset)) else ()
    return ", ".join(sorted(word for word in words if isinstance(word, str)))


def _file(member: type) -> str:
    path = Path(inspect.getfile(member))
    depth = member.__module__.count(".") + 1
    return Path(*path.parts[-depth:]).as_posix() if member.__module__.split(".")[0] in path.parts else str(path)


def _fields(member: Any) -> Iterator[FieldEntry]:
    hints, meanings = get_type_hints(member, include_extras=True), _meanings(member)
    for field in dataclasses.fields(member):
        if field.init:
            yield FieldEntry(
                name=field.name,
                values=values_of(hints[field.name]),
                default=_default(field),
                meaning=meanings.get(field.name, ""),
            )


@functools.cache
def _meanings(member: type) -> dict[str, str]:
    """Return the line under each field, of the class and of those it inherits from."""
    found: dict[str, str] = {}
    for kind in reversed(member.__mro__):
        if not issubclass(kind, Component):
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for line, below in itertools.pairwise(body):
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and isinstance(below, ast.Expr):
                text = ast.literal_eval(below.value)
                found[line.target.id] = _unwrapped(inspect.cleandoc(text))
    return found


def _default(field: dataclasses.Field[Any]) -> str:
    value = field.default
    if value is dataclasses.MISSING:
        if field.default_factory is dataclasses.MISSING:
            return ""
        value = field.default_factory()
    if isinstance(value, Component):
        return type(value).__module__.rpartition(".")[2]
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def values_of(hint: Any) -> str:
    """Say in words what a field of this type may be: ``Annotated[float, Ge(0)]`` is "number ≥ 0"."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        ranges = [
            f"{sign} {getattr(limit, field):,}"
            for limit in inside[1:]
            for kind, field, sign in SIGNS
            if isinstance(limit, kind)
        ]
        return f"{values_of(inside[0])} {', '.join(ranges)}".strip()
    if origin is Literal:
        return " or ".join(json.dumps(value) for value in inside)
    if origin in (Union, types.UnionType):
        return ", or ".join(values_of(one) for one in inside)
    if origin is tuple:
        each = list(dict.fromkeys(values_of(one) for one in inside if one is not Ellipsis))
        count = "any number of" if Ellipsis in inside else f"{len(inside)} of"
        return f"{count}: {' and '.join(each)}"
    if isinstance(hint, type) and issubclass(hint, Component):
        name = hint.__name__.lower()
        return f"{'an' if name[0] in 'aeiou' else 'a'} {name}, by name or as a table"
    return WORDS.get(hint, "table" if origin else str(getattr(hint, "__name__", hint)).lower())
