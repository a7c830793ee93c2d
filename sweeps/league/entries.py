"""What takes part in the league, each one small TOML file: methods, and the problems that they are tried on.

A method's file holds ``[method]`` (title, family, what it does, whose it is), ``[run]`` (the fields of a run that it
sets), ``[space]`` (what is tuned of it, beside what the baseline tunes), ``[first]`` (where its search begins) and
``[claim]`` (what was published of it). A problem's holds ``[problem]`` and ``[run]``.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt, MinLen

from grokcore.config.component import Component
from grokcore.config.folders import use_folder
from grokcore.errors import ConfigError, unknown_name
from grokcore.run_config import flatten, nest
from sweeps.spec import toml
from sweeps.spec.space import Dimension
from sweeps.spec.sweep_spec import dimension_from

Text = Annotated[str, MinLen(1)]

BASELINE = "baseline"
"""The method that all others are put against."""

AGAIN = "baseline-again"
"""The baseline once more, by a search of its own: how far luck in tuning goes."""

Family = Literal["baseline", "schedule", "initialisation", "architecture", "optimizer", "transform", "loss"]


@dataclass(frozen=True, kw_only=True)
class Published(Component):
    """What was published of a method."""

    says: Text
    """The claim in a sentence."""
    source: Text
    """Where it is from."""
    factor: Annotated[float, Gt(0)] | None = None
    """How many times sooner it was, where a number is given."""


@dataclass(frozen=True, kw_only=True)
class Method(Component):
    """A way of training."""

    name: Text
    """The file's name."""
    title: Text
    """What it is called."""
    family: Family
    """What kind of thing it changes."""
    does: Text
    """What it does, in a sentence."""
    ours: str = ""
    """What its source leaves open, or is done otherwise here."""
    link: str = ""
    """Where it is described."""
    cost: Annotated[float, Gt(0)] = 1.0
    """About how many times as long as the baseline's a step takes; for the estimate of the whole league's cost."""
    models: tuple[str, ...] = ()
    """The networks that it is for; empty for all."""
    run: Mapping[str, Any] = field(default_factory=dict)
    """Fields of a run that it sets, flat; what is set is not tuned."""
    space: Mapping[str, Dimension] = field(default_factory=dict)
    """What is tuned, by dotted name."""
    first: Mapping[str, Any] = field(default_factory=dict)
    """Values of what is tuned that are tried first."""
    donor: Mapping[str, Any] = field(default_factory=dict)
    """Fields in which the run differs whose embedding every run begins with; empty for none."""
    claim: Published | None = None
    """What was published."""


@dataclass(frozen=True, kw_only=True)
class Problem(Component):
    """What methods are tried on."""

    name: Text
    """The file's name."""
    title: Text
    """What it is called."""
    fractions: tuple[Annotated[float, Gt(0), Lt(1)], ...]
    """Shares of the data that are trained on."""
    steps: Annotated[int, Ge(10)]
    """Budget of a run."""
    cost: Annotated[float, Gt(0)]
    """Core-seconds that a run of the baseline takes about if it spends its budget."""
    run: Mapping[str, Any]
    """Task and model, flat."""


def methods(folder: Path | None = None) -> dict[str, Method]:
    """Return all methods by name, the baseline first; those of a folder of one's own beside ours.

    Raises `ConfigError` with every complaint, each with its file.
    """
    ours = _ours("methods")
    found = {name: _method(name, text, None) for name, text in ours.items()}
    for path in _own(folder):
        if path.stem in ours:
            raise ConfigError([f"{path}: there is a method {path.stem!r} already; rename the file."])
        found[path.stem] = _method(path.stem, path.read_text(encoding="utf-8"), path)
    return {name: found[name] for name in sorted(found, key=lambda name: (name not in (BASELINE, AGAIN), name))}


@functools.cache
def problems() -> dict[str, Problem]:
    """Return all problems by name."""
    return {name: _problem(name, text) for name, text in _ours("problems").items()}


def chosen(kind: str, named: Sequence[str], known: Mapping[str, Any]) -> list[str]:
    """Return the names that are meant, all if none is given; raises `ConfigError` with the nearest for unknown ones."""
    if unknown := [name for name in named if name not in known]:
        raise ConfigError([unknown_name(kind, name, known) for name in unknown])
    return [name for name in known if not named or name in named]


@functools.cache
def _ours(kind: str) -> dict[str, str]:
    files = resources.files(__package__).joinpath(kind).iterdir()
    found = {entry.name: entry.read_text(encoding="utf-8") for entry in files if entry.name.endswith(".toml")}
    return {name.removesuffix(".toml"): text for name, text in sorted(found.items())}


def _own(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    if not folder.is_dir():
        raise ConfigError(
            [f"--methods {folder}: there is no such folder; give one that holds files like my-method.toml."]
        )
    found = sorted(folder.glob("*.toml"))
    if not found:
        raise ConfigError([f"--methods {folder}: holds no file like my-method.toml."])
    return found


def _method(name: str, text: str, path: Path | None) -> Method:
    values, complaints = _tables(f"method {name}", text), list[str]()
    head = dict(values.pop("method", {}))
    components = head.pop("components", None)
    if isinstance(head.get("models"), list):
        head["models"] = tuple(head["models"])
    if isinstance(components, str) and path is not None:
        use_folder(path.parent / components)
    sections: dict[str, Any] = {name: flatten(values.pop(name, {})) for name in ("run", "first", "donor")}
    sections["space"] = {key: dimension_from(key, value, complaints) for key, value in values.pop("space", {}).items()}
    if (claim := values.pop("claim", None)) is not None:
        sections["claim"] = Published.from_section(claim, "claim", complaints)
    complaints += [unknown_name("table", table, ("method", *sections)) for table in values]
    found = Method.from_section({**head, **sections, "name": name}, "method", complaints)
    if complaints or found is None:
        raise ConfigError([f"{path or f'method {name}'}: {complaint}" for complaint in complaints])
    return found


def _problem(name: str, text: str) -> Problem:
    values, complaints = _tables(f"problem {name}", text), list[str]()
    head = dict(values.get("problem", {}))
    head["fractions"] = tuple(head.get("fractions", ()))
    found = Problem.from_section({**head, "name": name, "run": flatten(values["run"])}, "problem", complaints)
    if found is None:
        raise ConfigError([f"problem {name}: {complaint}" for complaint in complaints])
    return found


def _tables(what: str, text: str) -> dict[str, Any]:
    try:
        values = toml.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{what}: is not a TOML file: {error}."]) from None
    return {name: nest(value) if name in ("run", "donor") and isinstance(value, Mapping) else value
            for name, value in values.items()}  # fmt: skip
