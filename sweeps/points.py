"""Points of one's own: runs that a CSV file lists, to be trained beside those that a sampler chooses."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from grokcore.errors import ConfigError, DataError, unknown_name
from sweeps.spec.box import spelled
from sweeps.spec.space import Choice, Dimension
from sweeps.spec.sweep_spec import SweepSpec


def read_points(path: Path, spec: SweepSpec) -> list[dict[str, Any]]:
    """Return the points of a CSV file as parameters by dotted name, one a row.

    Its columns are varied fields, by short or dotted name; one that is missing may only be the seed, which is then the
    first. Raises `DataError` with every row that is no point of the space.
    """
    dimensions = spec.whole_space.dimensions
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = {given: _full(given, list(dimensions)) for given in reader.fieldnames or ()}
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}.") from None
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from None
    missing = dimensions.keys() - names.values() - {"seed"}
    if missing or not rows:
        lacks = f"has no column {', '.join(sorted(missing))}" if missing else "has no rows"
        raise DataError(f"{path}: {lacks}; give one row a point, with columns {', '.join(dimensions)}.")
    points, complaints = [], []
    for number, row in enumerate(rows, start=2):
        point = {"seed": dimensions["seed"].extremes[0]} if "seed" in dimensions else {}
        for given, name in names.items():
            try:
                point[name] = _param(dimensions[name], row[given])
            except ConfigError as error:
                complaints.append(f"{path}, line {number}: {name} = {row[given]}: {'; '.join(error.complaints)}")
        points.append({name: point[name] for name in dimensions if name in point})
    if complaints:
        raise DataError("\n".join(complaints))
    return points


def _full(given: str, names: list[str]) -> str:
    matches = [name for name in names if given.strip() in (name, name.rpartition(".")[2])]
    if len(matches) != 1:
        raise ConfigError([unknown_name("varied field", given, names)])
    return matches[0]


def _param(dimension: Dimension, text: str | None) -> Any:
    """Return the parameter that a cell means; raises `ConfigError` for what is not in the dimension."""
    text = (text or "").strip()
    if isinstance(dimension, Choice):
        for value, param in zip(dimension.values, dimension.grid(0), strict=True):
            if text in (spelled(value), str(value), json.dumps(value)):
                return param
        raise ConfigError([f"it is none of {', '.join(map(spelled, dimension.values))}."])
    try:
        value = float(text)
    except ValueError:
        raise ConfigError(["give a number."]) from None
    if not dimension.low <= value <= dimension.high or (dimension.integer and value != int(value)):
        whole = "whole numbers " if dimension.integer else ""
        raise ConfigError([f"the sweep has {whole}{dimension.low:g} to {dimension.high:g}; widen it first (--widen)."])
    return int(value) if dimension.integer else value
