"""A part of a sweep's space, to fill with runs of its own: the box that was dragged on a map."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from grokcore.errors import ConfigError, unknown_name
from sweeps.spec.space import Choice, Range

if TYPE_CHECKING:
    from sweeps.spec.space import Dimension

S = TypeVar("S", bound=Any)
"""A `SweepSpec`, which this module is below."""


def within(spec: S, sides: Sequence[str]) -> S:
    """Return the sweep over a `part` of its space."""
    try:
        space = part(spec.space, sides)
    except ConfigError as error:
        raise ConfigError([f"--within {complaint}" for complaint in error.complaints]) from None
    return dataclasses.replace(spec, space=space)


def part(whole: Mapping[str, Dimension], sides: Sequence[str]) -> dict[str, Dimension]:
    """Return the part of a space between `sides`, texts NAME=LOW:HIGH or NAME=VALUE, by any name it has.

    A range is cut to what lies between both numbers; of a list of numbers those in between stay; VALUE is one of a
    list, a table in it by its `name`. Raises `ConfigError`
    with all complaints: a text of another form, a name that is not varied or is no number, a part with nothing in it.
    """
    complaints: list[str] = []
    space = dict(whole)
    for side in sides:
        try:
            name, ends = _side(side, list(space))
            dimension = space[name]
            if isinstance(dimension, Choice) and ":" not in ends:
                space[name] = _level(dimension, ends)
            else:
                space[name] = _part(dimension, name, *_numbers(ends))
        except ConfigError as error:
            complaints += [f"{side}: {text}" for text in error.complaints]
    if complaints:
        raise ConfigError(complaints)
    return space


def widened(spec: S, sides: Sequence[str]) -> S:
    """Return the sweep over a larger space: NAME=LOW:HIGH are new ends of a range, NAME=VALUE is one more of a list.

    Raises `ConfigError` for ends that lie inside the range that is there, since runs may lie beyond them.
    """
    complaints: list[str] = []
    space = dict(spec.space)
    for side in sides:
        try:
            name, ends = _side(side, list(space))
            space[name] = _wider(space[name], ends)
        except ConfigError as error:
            complaints += [f"--widen {side}: {text}" for text in error.complaints]
    if complaints:
        raise ConfigError(complaints)
    return dataclasses.replace(spec, space=space)


def _wider(dimension: Dimension, ends: str) -> Dimension:
    if isinstance(dimension, Choice):
        try:
            more = tomllib.loads(f"value = {ends}")["value"]
        except tomllib.TOMLDecodeError:
            more = ends
        return Choice(values=(*dimension.values, more))
    low, high = _numbers(ends)
    if low > dimension.low or high < dimension.high:
        raise ConfigError(
            [
                f"its range {dimension.low:g}:{dimension.high:g} would lose runs; give ends no further in, or, to "
                f"choose only among a part of it, --within."
            ]
        )
    return dataclasses.replace(dimension, low=low, high=high)


def narrowings(old: Mapping[str, Dimension], new: Mapping[str, Dimension]) -> Iterator[str]:
    """Yield, a line each, in what a space does not hold all of another."""
    if list(old) != list(new):
        yield f"space: {', '.join(old)} → {', '.join(new)}"
        return
    for name, before in old.items():
        after = new[name]
        if isinstance(before, Range) and isinstance(after, Range):
            same = (before.log, before.integer) == (after.log, after.integer)
            held = same and after.low <= before.low and before.high <= after.high
        elif isinstance(before, Choice) and isinstance(after, Choice):
            held = all(value in after.values for value in before.values)
        else:
            held = False
        if not held:
            yield f"space.{name}: {before} → {after}"


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
    inside = tuple(value for value in dimension.values if spelled(value) == wanted)
    if not inside:
        raise ConfigError([unknown_name("value", wanted, [spelled(value) for value in dimension.values])])
    return Choice(values=inside)


def spelled(value: Any) -> str:
    """Return a value of a list as a user writes it."""
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
            raise ConfigError(
                [f"none of its values {', '.join(map(repr, dimension.values))} lies there; give some of them."]
            )
        return Choice(values=inside)
    ends = max(low, dimension.low), min(high, dimension.high)
    if dimension.integer:
        ends = float(math.ceil(ends[0])), float(math.floor(ends[1]))
        if ends[0] == ends[1]:
            return Choice(values=(int(ends[0]),))
    if not ends[0] < ends[1]:
        raise ConfigError(
            [f"nothing of its range {dimension.low:g}:{dimension.high:g} lies there; give a part, or widen it first."]
        )
    return Range(low=ends[0], high=ends[1], log=dimension.log, integer=dimension.integer)
