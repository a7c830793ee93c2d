"""Merging: one sweep of two that share a space, with the finished runs of both."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from grokcore.errors import ConfigError, DataError, SweepExistsError
from grokcore.records.run_record import RunRecord
from sweeps.spec import toml
from sweeps.spec.space import Choice, Dimension, Range
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.lines import parsed
from sweeps.store.run_store import FREE, Asked, Store, read_records

OWN = (
    *FREE, "name", "space", "focus", "sampler", "sampler_options", "seed", "storage", "keep_weights", "stopping",
    "stopping_options",
)  # fmt: skip
"""Fields in which sweeps that are merged may differ; those of the first are kept. A record says itself who ended it."""
TOLD = ("rule", "sampler", "sampler_options", "stopping", "stopping_options")
"""Those of them that somebody who merges two sweeps should know of."""


def merge_sweeps(first: Path, second: Path, name: str, results: Path) -> tuple[SweepSpec, int]:
    """Write sweep `name` of the finished runs of the sweeps in two folders; return it and how many runs it has.

    Its space holds both. A run that both have is taken once, from the first unless it was seen longer in the second: it
    failed in the first, or was stopped there. Raises
    `DataError` if the two are not sweeps of the same runs, `SweepExistsError` if there is something of that name.
    """
    specs = [_spec(folder) for folder in (first, second)]
    if (results / name).exists():
        raise SweepExistsError(f"there is something at {results / name} already; give another --name.")
    old, new = (spec.definition() for spec in specs)
    if changes := list(toml.differences(old, new, but=OWN)):
        listed = "\n".join(f"  {change}" for change in changes)
        raise DataError(f"{first} and {second} are sweeps of other runs (first → second):\n{listed}")
    space = _hull(specs[0].space, specs[1].space)
    runs = _runs(first, second)
    if not runs:
        raise DataError(f"neither {first} nor {second} has a finished run yet; there is nothing to merge.")
    spec = dataclasses.replace(specs[0], name=name, space=space, runs=len(runs), focus=(), until=None, storage=None)
    part = results / f".{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        with Store(dataclasses.replace(spec, name="merged"), part) as store:
            store.ask(dataclasses.replace(asked, number=n) for n, (asked, _) in enumerate(runs.values()))
            for _, record in runs.values():
                store.add([record])
            (store.path / "spec.toml").write_text(spec.to_toml(components="components"), encoding="utf-8")
        (part / "merged").rename(results / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return spec, len(runs)


def _spec(folder: Path) -> SweepSpec:
    if not (folder / "spec.toml").exists():
        raise DataError(f"{folder} is not the folder of a sweep: it has no spec.toml.")
    return SweepSpec.from_toml(folder / "spec.toml")


def _runs(*folders: Path) -> dict[str, tuple[Asked, RunRecord]]:
    """Return the finished runs by identity, in the order in which they were chosen."""
    found: dict[str, tuple[Asked, RunRecord]] = {}
    for folder in folders:
        records = {record.run_id: record for record in read_records(folder)}
        for asked in parsed(folder / "asked.jsonl", Asked.from_json, "its run is left out"):
            record = records.get(asked.run_id)
            there = found.get(asked.run_id)
            if record is not None and (there is None or record.extent > there[1].extent):
                found[asked.run_id] = (asked, record)
    return found


def kept_of_first(first: Path, second: Path) -> Iterator[str]:
    """Yield in what two sweeps differ where the first's word counts from now on."""
    old, new = (_spec(folder).definition() for folder in (first, second))
    others = [name for name in {**old, **new} if name not in TOLD]
    yield from toml.differences(old, new, but=others)


def _hull(first: Mapping[str, Dimension], second: Mapping[str, Dimension]) -> dict[str, Dimension]:
    """Return the smallest space that holds both; raises `DataError` where they do not vary the same in the same way."""
    if first.keys() != second.keys():
        raise DataError(f"one varies {', '.join(first)}, the other {', '.join(second)}; both must vary the same.")
    try:
        return {name: _both(dimension, second[name]) for name, dimension in first.items()}
    except ConfigError as error:
        raise DataError("; ".join(error.complaints)) from None


def _both(first: Dimension, second: Dimension) -> Dimension:
    if isinstance(first, Choice) and isinstance(second, Choice):
        return Choice(values=(*first.values, *(value for value in second.values if value not in first.values)))
    if isinstance(first, Range) and isinstance(second, Range):
        wide = dataclasses.replace(first, low=min(first.low, second.low), high=max(first.high, second.high))
        if wide == dataclasses.replace(second, low=wide.low, high=wide.high):
            return wide
    raise ConfigError([f"{first} and {second} do not make one dimension: both must be lists, or ranges of one scale."])


def unfinished(folder: Path) -> int:
    """Return how many runs a sweep has chosen and not finished."""
    done = {record.run_id for record in read_records(folder)}
    chosen: Iterator[Asked] = parsed(folder / "asked.jsonl", Asked.from_json, "its run is left out")
    return sum(asked.run_id not in done for asked in chosen)
