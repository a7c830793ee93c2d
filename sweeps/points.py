"""Points of one's own: runs that a table of text lists, to be trained beside those that a sampler chooses."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.runs.table_files import read_cells
from grokcore.errors import ConfigError, DataError, unknown_name
from sweeps.spec.box import spelled
from sweeps.spec.space import Choice, Dimension
from sweeps.spec.sweep_spec import SweepSpec


def read_points(path: Path, spec: SweepSpec) -> list[dict[str, Any]]:
    """Return the points of a table of text as parameters by dotted name, one a row.

    Its columns are varied fields, by short or dotted name; one that is missing may only be the seed, which is then the
    first. Any usual separator, encoding and decimal mark is understood. Raises `DataError` with every row that is no
    point of the space.
    """
    dimensions = spec.whole_space.dimensions
    wanted = f"give one row a point, with columns {', '.join(dimensions)}"
    (_, header), *rows = read_cells(path) or [(0, [])]
    try:
        names = _full(header, list(dimensions))
    except ConfigError as error:
        raise DataError("\n".join(f"{path}: {complaint}" for complaint in error.complaints)) from None
    missing = dimensions.keys() - set(names) - {"seed"}
    if missing or not rows:
        lacks = f"has no column {', '.join(sorted(missing))}" if missing else "has no rows"
        raise DataError(f"{path}: {lacks}; {wanted}.")
    points, complaints = [], []
    for line, row in rows:
        point = {"seed": dimensions["seed"].extremes[0]} if "seed" in dimensions else {}
        if len(row) > len(names) and any(row[len(names) :]):
            complaints.append(
                f"{path}, line {line}: has {len(row)} cells under {len(names)} names; give a cell a name."
            )
        for place, name in enumerate(names):
            text = row[place] if place < len(row) else ""
            if not name:
                continue
            try:
                point[name] = _param(dimensions[name], text)
            except ConfigError as error:
                given = f"{name} = {text}" if text else f"{name} is empty"
                complaints.append(f"{path}, line {line}: {given}: {'; '.join(error.complaints)}")
        points.append({name: point[name] for name in dimensions if name in point})
    if complaints:
        raise DataError("\n".join(complaints))
    return points


def _full(header: Sequence[str], names: list[str]) -> list[str]:
    """Return the dotted names of a header's; of a column without a name, as spreadsheets leave them, none.

    Raises `ConfigError` for names of nothing that varies, and for those that stand there twice.
    """
    found, complaints = [], []
    for given in header:
        matches = [name for name in names if given in (name, name.rpartition(".")[2])]
        if len(matches) == 1 or not given:
            found += matches or [""]
            continue
        short = [name.rpartition(".")[2] for name in names]
        known = short if len(set(short)) == len(short) else names
        complaints.append(f"{unknown_name('varied field', given, known)} Leave out columns of what does not vary.")
    twice = dict.fromkeys(name for name in found if name and found.count(name) > 1)
    complaints += [f"{name} has {found.count(name)} columns; give it one." for name in twice]
    if complaints:
        raise ConfigError(complaints)
    return found


def _param(dimension: Dimension, text: str) -> Any:
    """Return the parameter that a cell means; raises `ConfigError` for what is not in the dimension."""
    value = _number(text)
    if isinstance(dimension, Choice):
        for level, param in zip(dimension.values, dimension.grid(0), strict=True):
            # A spreadsheet writes the seed 1 as 1.0.
            number = isinstance(level, (int, float)) and not isinstance(level, bool) and level == value
            if text and (number or text in (spelled(level), str(level), json.dumps(level))):
                return param
        near = "" if not math.isnan(value) or not text else _nearest(text, dimension)
        raise ConfigError([near or f"it is none of {', '.join(map(spelled, dimension.values))}."])
    if math.isnan(value):
        raise ConfigError(["give a number."])
    if not dimension.low <= value <= dimension.high or (dimension.integer and value != int(value)):
        whole = "whole numbers " if dimension.integer else ""
        raise ConfigError([f"the sweep has {whole}{dimension.low:g} to {dimension.high:g}; widen it first (--widen)."])
    return int(value) if dimension.integer else value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _nearest(text: str, dimension: Choice) -> str:
    """Return what an unknown word may have been meant to be."""
    return unknown_name("value", text, map(spelled, dimension.values))
