"""One run of a sweep: what the sweep fixes, and of what it varies, what someone has chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from grokcore.errors import ConfigError
from grokcore.run_config import flatten
from sweeps.spec.space import Choice
from sweeps.spec.sweep_spec import SweepSpec


def one_run(spec: SweepSpec, word: str, changes: Iterable[str] = ()) -> dict[str, Any]:
    """Return the flat fields of one run of the sweep that `grokmap run` has by `word`.

    What varies must be among the names of `changes`; a single value needs no choice, nor does the seed. Raises
    `ConfigError` that names what is not given.
    """
    space = spec.whole_space
    changed = tuple(changes)
    flat, open_ = flatten(space.run), []
    for name, dimension in space.dimensions.items():
        lone = isinstance(dimension, Choice) and (len(dimension.values) == 1 or name == "seed")
        if lone:
            flat |= flatten({name: dimension.extremes[0]})
        elif not any(change == name or change.startswith(f"{name}.") for change in changed):
            open_.append(name)
    if open_:
        first = " ".join(f"{name}={_spelled(space.dimensions[name].extremes[0])}" for name in open_)
        raise ConfigError(
            [
                f"{word} varies {', '.join(open_)}: say which run is meant, as in grokmap run {word} {first}, or run "
                f"all with grokmap sweep {word}."
            ]
        )
    return flat


def _spelled(value: Any) -> str:
    return str(value["name"]) if isinstance(value, Mapping) and "name" in value else str(value)
