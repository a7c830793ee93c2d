"""A part of a sweep's space, to fill with runs of its own: the box that was dragged on a map."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from grokcore.errors import ConfigError, unknown_name
from sweeps.spec.space import Choice, Range

if TYPE_CHECKING:
    from sweeps.spec.space import Dimension
    from sweeps.spec.sweep_spec import SweepSpec


def within(spec: SweepSpec, sides: Sequence[str]) -> SweepSpec:
    """Return the sweep over a part of its space; `sides` are texts NAME=LOW:HIGH or NAME=VALUE, by any name it has.

    A range is cut to what lies between both numbers; of a list of numbers those in between stay; VALUE is one of a
    list, a table in it by its `name`. Raises `ConfigError`
    with all complaints: a text of another form, a name that is not varied or is no number, a part with nothing in it.
    """
    complaints: list[str] = []
    space = dict(spec.space)
    for side in sides:
        try:
            name, ends = _side(side, list(space))
            dimension = space[name]
            if isinstance(dimension, Choice) and ":" not in ends:
                space[name] = _level(dimension, ends)
            else:
                space[name] = _part(dimension, name, *_numbers(ends))
        except ConfigError as error:
            complaints += [f"--within {side}: {text}" for text in error.complaints]
    if complaints:
        raise ConfigError(complaints)
    return dataclasses.replace(spec, space=space)


def _side(text: str, names: list[str]) -> tuple[str, str]:
    """Return which varied field is meant, and what is said of it."""
    given, _, ends = text.partition("=")
    short = given.rpartition(".")[2]
    matches = [name for name in names if given in (name, name.rpartition(".")[2]) or name == short]
    if len(matches) != 1:
        raise ConfigError([unknown_name("varied field", given, names)])
    return matches[0], ends


def _numbers(ends: str) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in ends.split(":"))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ConfigError(["write NAME=LOW:HIGH with two numbers, the lower first, as fraction=0.3:0.5."])
    return low, high


def _level(dimension: Choice, wanted: str) -> Choice:
    """Return a list with the one value that a text means."""
    inside = tuple(value for value in dimension.values if _text(value) == wanted)
    if not inside:
        raise ConfigError([unknown_name("value", wanted, [_text(value) for value in dimension.values])])
    return Choice(values=inside)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("name", value))
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def _part(dimension: Dimension, name: str, low: float, high: float) -> Dimension:
    if isinstance(dimension, Choice):
        if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in dimension.values):
            raise ConfigError([f"{name} is no number; its values are {', '.join(map(repr, dimension.values))}."])
        inside = tuple(value for value in dimension.values if low <= value <= high)
        if not inside:
            raise ConfigError([f"none of its values {', '.join(map(repr, dimension.values))} lies there."])
        return Choice(values=inside)
    ends = max(low, dimension.low), min(high, dimension.high)
    if dimension.integer:
        ends = float(math.ceil(ends[0])), float(math.floor(ends[1]))
        if ends[0] == ends[1]:
            return Choice(values=(int(ends[0]),))
    if not ends[0] < ends[1]:
        raise ConfigError([f"nothing of its range {dimension.low:g}:{dimension.high:g} lies there."])
    return Range(low=ends[0], high=ends[1], log=dimension.log, integer=dimension.integer)
