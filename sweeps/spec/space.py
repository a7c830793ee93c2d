"""Search spaces: which fields of a run are varied, over which values, and how a chosen point becomes a configuration.

Any field of `RunConfig` can be varied, by its dotted name (``"optimizer.decay"``) or by its last part (``"decay"``)
where only one field of the sweep's common settings is called so; seeds are a field like any other.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from grokcore.config.component import Component
from grokcore.config.registry import ComponentRegistry
from grokcore.errors import ConfigError, unknown_name
from grokcore.run_config import OPTIONAL, REGISTRIES, RunConfig, flatten, nest
from sweeps.spec.toml import plain

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

DIGITS = 6
"""Significant digits that a varied number keeps: enough to tell runs apart, few enough to read in a table."""


@dataclass(frozen=True, kw_only=True)
class Range(Component):
    """Every number from `low` to `high`, both included.

    >>> [round(value, 3) for value in Range(low=0.01, high=10, log=True).grid(4)]
    [0.01, 0.1, 1.0, 10.0]
    """

    low: float
    """Smallest value."""
    high: float
    """Largest value."""
    log: bool = False
    """Whether equal steps are equal factors; `low` must then be above 0."""
    integer: bool = False
    """Whether only whole numbers are meant."""

    def complaints(self) -> Iterator[str]:
        """Yield that the range is empty, or logarithmic from zero."""
        if not self.low < self.high:
            yield f"low = {self.low:g}, high = {self.high:g}: low must be below high."
        if self.log and self.low <= 0:
            yield f"low = {self.low:g}: a logarithmic range starts above 0; vary 0 itself as one of a Choice."
        if self.integer and not (self.low == int(self.low) and self.high == int(self.high)):
            yield f"low = {self.low:g}, high = {self.high:g}: an integer range has whole ends."

    @property
    def extremes(self) -> tuple[Any, ...]:
        """Return the values that a check of the whole space must look at."""
        return self.value(self.low), self.value(self.high)

    @functools.cached_property
    def distribution(self) -> BaseDistribution:
        """The range as Optuna knows it."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.integer:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def value(self, param: Any) -> Any:
        """Return the value of the field for Optuna's `param`, rounded to `DIGITS` digits."""
        return int(param) if self.integer else float(f"{param:.{DIGITS}g}")

    def grid(self, points: int) -> list[Any]:
        """Return `points` evenly spread values (fewer where an integer range has fewer)."""
        if self.integer:
            points = min(points, int(self.high - self.low) + 1)
        shares = [i / (points - 1) for i in range(points)] if points > 1 else [0.5]
        if self.log:
            values = [self.low * (self.high / self.low) ** share for share in shares]
        else:
            values = [self.low + (self.high - self.low) * share for share in shares]
        return [round(value) for value in values] if self.integer else [min(value, self.high) for value in values]


@dataclass(frozen=True, kw_only=True)
class Choice(Component):
    """One of the listed values: numbers, names, or whole tables (a task with its settings, say).

    >>> Choice(values=("none", {"name": "orthograd"})).grid(2)
    ['none', '{"name": "orthograd"}']
    """

    values: tuple[Any, ...]
    """The values to choose from; no order is assumed. NumPy's numbers become Python's; None is a value too."""

    def __post_init__(self) -> None:
        complaints: list[str] = []
        if hasattr(self.values, "tolist") or isinstance(self.values, (list, tuple, range)):
            object.__setattr__(self, "values", tuple(plain(self.values, "values", complaints)))
        if complaints:
            raise ConfigError(complaints)
        super().__post_init__()

    def complaints(self) -> Iterator[str]:
        """Yield that there is nothing to choose from, or that a value is listed twice."""
        if not self.values:
            yield "values = (): give at least one value."
        keys = [_key(value) for value in self.values]
        if len(set(keys)) < len(keys):
            yield f"values = {self.values!r}: every value should be listed once."

    @property
    def extremes(self) -> tuple[Any, ...]:
        """Return the values that a check of the whole space must look at."""
        return self.values

    @functools.cached_property
    def distribution(self) -> BaseDistribution:
        """The choice as Optuna knows it; tables and lists become their JSON text."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution([_param(value) for value in self.values])

    def value(self, param: Any) -> Any:
        """Return the value of the field for Optuna's `param`."""
        try:
            return self._by_key[_key(param)]
        except KeyError:
            raise ConfigError([f"{param!r} is none of {', '.join(map(repr, self.values))}."]) from None

    @functools.cached_property
    def _by_key(self) -> dict[str, Any]:
        """The values by what tells them apart."""
        return {_key(_param(value)): value for value in self.values}

    def grid(self, points: int) -> list[Any]:  # noqa: ARG002 - a choice has as many points as values
        """Return all values, as Optuna's parameters."""
        return [_param(value) for value in self.values]


Dimension = Range | Choice
"""What a varied field may take."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """The settings that all runs share and the dimensions that vary, every one under its full dotted name."""

    run: Mapping[str, Any]
    """Fields of `RunConfig` common to all runs, nested."""
    dimensions: Mapping[str, Dimension]
    """What each varied field may take."""

    @classmethod
    def of(cls, run: Mapping[str, Any], varied: Mapping[str, Dimension]) -> Space:
        """Build a space from names short or dotted; raises `ConfigError` with every name that is not understood."""
        nested, complaints, dimensions = nest(run), [], {}
        for name, dimension in varied.items():
            matches = _full_names(name, nested)
            if len(matches) == 1:
                dimensions[matches[0]] = dimension
            elif matches:
                complaints.append(f"space: {name!r} could be {' or '.join(matches)}; give the dotted name.")
            else:
                known = _known_names(nested)
                short = known if "." in name else [full.rpartition(".")[2] for full in known]
                complaints.append(f"space: {unknown_name('field', name, set(short))}")
        if complaints:
            raise ConfigError(complaints)
        return cls(run=nested, dimensions=dimensions)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the dimensions as Optuna knows them."""
        return {name: dimension.distribution for name, dimension in self.dimensions.items()}

    def config(self, params: Mapping[str, Any]) -> RunConfig:
        """Return the run that Optuna's `params` stand for."""
        values = {name: dimension.value(params[name]) for name, dimension in self.dimensions.items()}
        return RunConfig.from_dict({name: part for name, part in self._common.items() if name not in values} | values)

    def _config(self, values: Mapping[str, Any]) -> RunConfig:
        flat = {key: value for key, value in flatten(self.run).items() if key not in values}
        return RunConfig.from_dict(flat | dict(values))

    @functools.cached_property
    def _common(self) -> dict[str, Any]:
        """What all runs share, with the sections in which nothing varies built once."""
        first = self._config(self._ends()[0])
        varied = {name.partition(".")[0] for name in self.dimensions}
        # What a model leaves out, its task may say.
        alike = REGISTRIES.keys() - varied - ({"model"} if "task" in varied else set())
        flat = {key: value for key, value in flatten(self.run).items() if key.partition(".")[0] not in alike}
        return flat | {name: getattr(first, name) for name in alike}

    def ends(self) -> list[RunConfig]:
        """Return the runs at the ends of each dimension, the others at their first end."""
        return [self._config(point) for point in self._ends()]

    def _ends(self) -> list[dict[str, Any]]:
        first = {name: dimension.extremes[0] for name, dimension in self.dimensions.items()}
        others = [(name, end) for name, dimension in self.dimensions.items() for end in dimension.extremes[1:]]
        return [first, *(first | {name: end} for name, end in others)]

    def complaints(self) -> Iterator[str]:
        """Yield what is wrong with the runs at the ends of each dimension, the others at their first end."""
        found: dict[str, None] = {}
        for point in self._ends():
            try:
                self._config(point)
            except ConfigError as error:
                found.update(dict.fromkeys(error.complaints))
        yield from found or self._fractions()

    def _fractions(self) -> Iterator[str]:
        """Yield every range of numbers of a field that takes whole ones alone, whose ends happen to be such."""
        first = self._ends()[0]
        for name, side in self.dimensions.items():
            if isinstance(side, Range) and not side.integer:
                try:
                    self._config(first | {name: side.value(side.low + 0.618 * (side.high - side.low))})
                except ConfigError:
                    yield (
                        f"space.{name}: takes whole numbers only; say integer = true beside low = {side.low:g} and "
                        f"high = {side.high:g}, or list its values."
                    )


def _known_names(run: Mapping[str, Any]) -> list[str]:
    """Return the dotted names of all fields that a run with these sections has."""
    names = [field.name for field in fields(RunConfig)]
    for section, family in REGISTRIES.items():
        names += _section_names(section, run.get(section, OPTIONAL.get(section)), family)
    return names


def _section_names(section: str, given: object, family: ComponentRegistry[Any]) -> list[str]:
    """Return the dotted names of the fields of a section, and of the sections that it holds."""
    member = given.get("name") if isinstance(given, Mapping) else given
    if member not in family.names:
        return []
    names = []
    for field in fields(family.member(str(member))):
        inner = given.get(field.name) if isinstance(given, Mapping) else None
        names += [f"{section}.{field.name}", *_section_names(f"{section}.{field.name}", inner, family)]
    return names


def _full_names(name: str, run: Mapping[str, Any]) -> list[str]:
    known = _known_names(run)
    return [name] if name in known else [full for full in known if full.rpartition(".")[2] == name]


def _param(value: Any) -> Any:
    """Return `value` as one of the types that Optuna's categories may have."""
    return value if value is None or isinstance(value, (bool, int, float, str)) else _key(value)


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
