"""Component: the base of every configuration dataclass: frozen, keyword-only, checked when it is made.

Fields carry their allowed range in their type (``Annotated[float, Ge(0)]``); pydantic checks them, and all complaints
come in one `ConfigError`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Self, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import ConfigDict, InstanceOf, TypeAdapter, ValidationError

from grokcore.errors import ConfigError, unknown_name

Validator = Callable[[Any], Any]
"""What pydantic makes of a field's type: returns the value as that type, or raises `ValidationError`."""


@functools.cache
def _validators(component: Any) -> dict[str, Validator]:
    hints = get_type_hints(component, include_extras=True)
    plain = ConfigDict(arbitrary_types_allowed=True)
    validators: dict[str, Validator] = {}
    for field in dataclasses.fields(component):
        hint = hints[field.name]
        bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        # A section holds a component, which has checked itself.
        if isinstance(bare, type) and issubclass(bare, Component):
            hint = Annotated[bare, InstanceOf()]  # type: ignore[type-arg]
        adapter = TypeAdapter(hint) if dataclasses.is_dataclass(bare) else TypeAdapter(hint, config=plain)
        validators[field.name] = adapter.validator.validate_python
    return validators


def check_fields(component: Any, values: Mapping[str, Any]) -> list[str]:
    """Return the complaints about those of `values` that are fields of `component`, each looked at alone."""
    complaints: list[str] = []
    for name, validator in _validators(component).items():
        if name in values:
            _checked(validator, name, values[name], complaints)
    return complaints


LARGEST = 2**63 - 1
"""Largest whole number that tables, tensors and MLflow can hold."""


def _checked(validator: Validator, name: str, value: object, complaints: list[str]) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    truth = isinstance(value, bool)
    try:
        value = validator(value)
    except ValidationError as error:
        reasons = dict.fromkeys(detail["msg"][0].lower() + detail["msg"][1:] for detail in error.errors())
        # Of very many digits Python refuses to write any.
        given = f"2^{value.bit_length() - 1} or more" if type(value) is int and abs(value) > LARGEST else repr(value)
        complaints.append(f"{name} = {given}: {', or '.join(reasons)}.")
        return value
    if truth and not isinstance(value, bool):
        complaints.append(f"{name} = {bool(value)}: should be a number.")
    if isinstance(value, float) and not math.isfinite(value):
        complaints.append(f"{name} = {value!r}: should be a finite number.")
    if isinstance(value, int) and abs(value) > LARGEST:
        complaints.append(f"{name}: a whole number of {value.bit_length()} bits; should be at most {LARGEST:,}.")
    return value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Component:
    """The base of every configuration dataclass: checks its fields when made, reads from and writes to plain dicts."""

    def __post_init__(self) -> None:
        complaints: list[str] = []
        kind: Any = type(self)
        for name, validator in _validators(kind).items():
            object.__setattr__(self, name, _checked(validator, name, getattr(self, name), complaints))
        if not complaints:
            complaints.extend(self.complaints())
        if complaints:
            raise ConfigError(complaints)

    def complaints(self) -> Iterator[str]:
        """Yield what is wrong between fields that are each right alone; nothing, unless a component says otherwise."""
        yield from ()

    @classmethod
    def from_section(cls, section: Mapping[str, Any], where: str, complaints: list[str]) -> Self | None:
        """Build the component from a plain mapping; append complaints, prefixed by `where`; return None if any."""
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
        """Return the component as a plain dict of JSON values."""
        kind: Any = type(self)
        section = {name: getattr(self, name) for name in _validators(kind)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in section.items()}
