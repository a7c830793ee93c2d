"""Writing TOML (the standard library only reads it), and telling two specifications apart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from grokcore.run_config import flatten

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dumps(values: Mapping[str, Any], comment: str = "") -> str:
    """Return `values` as TOML: plain fields first, then a table for each mapping; fields that are None are left out."""
    lines = [f"# {comment}"] if comment else []
    lines += [f"{_name(key)} = {_value(value)}" for key, value in values.items() if _plain(value)]
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += ["", f"[{_name(key)}]"]
            lines += [f"{_name(name)} = {_value(inner)}" for name, inner in value.items() if inner is not None]
    return "\n".join(lines) + "\n"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield one line for each field that differs: its dotted name, what it was and what it is."""
    before, after = flatten(old), flatten(new)
    for name in dict.fromkeys([*before, *after]):
        was, now = before.get(name), after.get(name)
        if was != now:
            yield f"{name}: {_shown(was)} → {_shown(now)}"


def _shown(value: Any) -> str:
    return "(not set)" if value is None else _value(value)


def _plain(value: Any) -> bool:
    return value is not None and not isinstance(value, Mapping)


def _name(name: str) -> str:
    return name if _BARE.fullmatch(name) else _string(name)


def _string(text: str) -> str:
    # JSON escapes are TOML escapes, but for DEL, which JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_name(key)} = {_value(item)}" for key, item in value.items() if item is not None)
        return f"{{ {inner} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)
