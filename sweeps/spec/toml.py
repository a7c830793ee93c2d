"""Plain values and TOML: what a specification may hold, how it is written, and how two of them differ.

TOML has no word for None; in a specification's file `UNSET` stands for it, as in ``values = [{ unset = true }, 1.0]``.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tomli_w

from grokcore.config.component import Component
from grokcore.run_config import REGISTRIES, flatten

UNSET = {"unset": True}
"""What None is in a file."""

LARGEST = 2**63
"""Whole numbers are below this, as in TOML and in Parquet."""


DEEPEST = 16
"""Levels of tables and lists that a value may have."""


def plain(value: Any, where: str, complaints: list[str], level: int = 0) -> Any:
    """Return `value` as None, truth values, numbers, text, lists and tables; append what cannot be one of them.

    Numbers and arrays of NumPy, pandas and torch become Python's, tuples become lists, components their tables.
    """
    if level > DEEPEST:
        complaints.append(f"{where.partition('.')[0].partition('[')[0]}: is nested more than {DEEPEST} levels deep.")
        return None
    if isinstance(value, Component):
        family = next((family for family in REGISTRIES.values() if isinstance(value, family.base)), None)
        value = value if family is None else family.to_section(value)
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        named = [(_text(key, f"{where}: the name", complaints), inner) for key, inner in value.items()]
        return {key: plain(inner, f"{where}.{key}", complaints, level + 1) for key, inner in named}
    if isinstance(value, (list, tuple, range)):
        return [plain(inner, f"{where}[{number}]", complaints, level + 1) for number, inner in enumerate(value)]
    return _scalar(value, where, complaints)


def _scalar(value: Any, where: str, complaints: list[str]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, f"{where} =", complaints)
    if isinstance(value, int):
        if not -LARGEST <= value < LARGEST:
            complaints.append(f"{where}: a whole number should be below 2^63.")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            complaints.append(f"{where} = {value!r}: should be a finite number.")
        return float(value)
    allowed = "should be a number, a text, true or false, None, a list or a table"
    complaints.append(f"{where} = {value!r}: {allowed}, not {type(value).__name__}.")
    return value


def _text(value: object, what: str, complaints: list[str]) -> str:
    if not isinstance(value, str):
        complaints.append(f"{what} {value!r} should be a text.")
        return str(value)
    try:
        value.encode()
    except UnicodeEncodeError:
        complaints.append(f"{what} {value!r} has half a character, which no file can hold.")
    return str.__str__(value)


def dumps(values: Mapping[str, Any], comment: str = "") -> str:
    """Return `values` as TOML; fields of the first level that are None are left out, deeper ones are `UNSET`."""
    given = {key: _written(value) for key, value in values.items() if value is not None}
    return (f"# {comment}\n" if comment else "") + tomli_w.dumps(given)


def loads(text: str) -> dict[str, Any]:
    """Return the values of TOML that `dumps` wrote, or anybody; raises as `tomllib.loads` does."""
    return {key: _read(value) for key, value in tomllib.loads(text).items()}


def _written(value: Any) -> Any:
    if value is None:
        return UNSET
    if isinstance(value, Mapping):
        return {key: _written(inner) for key, inner in value.items()}
    return list(map(_written, value)) if isinstance(value, (list, tuple)) else value


def _read(value: Any) -> Any:
    if value == UNSET:
        return None
    if isinstance(value, dict):
        return {key: _read(inner) for key, inner in value.items()}
    return list(map(_read, value)) if isinstance(value, list) else value


def differences(old: Mapping[str, Any], new: Mapping[str, Any], but: Iterable[str] = ()) -> Iterator[str]:
    """Yield a line for each field that differs, apart from the fields `but`: its dotted name, what it was and is."""
    before, after = (flatten({key: value for key, value in side.items() if key not in but}) for side in (old, new))
    for name in dict.fromkeys([*before, *after]):
        was, now = before.get(name), after.get(name)
        if was != now:
            yield f"{name}: {_shown(was)} → {_shown(now)}"


def _shown(value: Any) -> str:
    if value is None:
        return "(not set)"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_shown(inner)}" for key, inner in value.items()) + " }"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").rstrip("\n")
