"""Folders with a file of curves a run, as Hydra's multirun leaves them: settings from the files and names beside."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from analysis.importing.curve_tables import (
    Imported,
    is_accuracy,
    left_out,
    named_curves,
    pairs_in,
    runs_of_curves,
)
from analysis.importing.trackers import has_milestones, joined_charts, long_chart, runs_of_table
from analysis.importing.wandb_offline import SUFFIX, read_offline_run
from analysis.runs.columns import tidied
from analysis.runs.table_files import read_table
from grokcore.errors import DataError, GrokmapError

CONFIGS = (".hydra/config.yaml", "config.yaml", "config.json", "params.json")
"""Where the settings of a run stand, in its own folder; the first that is there counts."""
MOST_CHARTS = 8
"""Files in a folder up to which they are looked at as charts; a chart holds many runs."""
LARGEST_CONFIG = 1_000_000
"""Bytes of settings beyond which a file is something else."""
_CURVES = re.compile(r".*\.(csv|tsv|parquet|pq)(\.(gz|bz2|xz))?", re.IGNORECASE)


def import_curves(path: Path, columns: Mapping[str, str], settings: Path | None = None) -> Imported:
    """Return the run table of curves at `path`: a long table, or a folder with a file of curves a run.

    A table that has t_mem and t_gen already (as Optuna's trials), a chart of Weights & Biases and its offline runs too.

    In a folder a run is called by its file's path; its settings are those of ``.hydra/config.yaml``, config.yaml,
    config.json or params.json beside it, of names such as ``lr=0.1,wd=1``, and columns that do not change. `columns`
    says by which name a column is meant, `settings` is a table of further settings by run_id. Raises `DataError`.
    """
    table = tidied(read_table(settings)[0], {}).frame if settings is not None else None
    offline = [path] if path.suffix == SUFFIX else sorted(path.rglob(f"*{SUFFIX}")) if path.is_dir() else []
    if offline:
        return _offline(path, list(dict.fromkeys(file.resolve() for file in offline)), columns, table)
    if not path.is_dir():
        frame, notes = read_table(path)
        chart = long_chart(frame)
        if chart is not None:
            found = _charts(path, [chart], columns, table)
            return dataclasses.replace(found, notes=(*notes, *found.notes))
        tidy = tidied(frame, columns)
        found = runs_of_table(tidy) if has_milestones(tidy.frame) else _runs(path, tidy.frame, table)
        return Imported(frame=found.frame, notes=(*notes, *tidy.notes, *found.notes))
    files = sorted(file for file in path.rglob("*") if file.is_file() and _CURVES.fullmatch(file.name))
    charts = [chart for file in files[:MOST_CHARTS] if (chart := _chart_in(file)) is not None]
    if files and len(charts) == len(files):
        return _charts(path, charts, columns, table)
    parts: list[pd.DataFrame] = []
    said: dict[str, None] = {}
    for frame, notes in _curves_in(path, files, columns):
        parts.append(frame)
        said |= dict.fromkeys(notes)
    if not parts:
        raise DataError(f"{path} holds no file of curves (.csv, .tsv, .parquet).")
    found = _runs(path, pd.concat(parts, ignore_index=True), table)
    return Imported(frame=found.frame, notes=(*said, *found.notes))


def _runs(path: Path, frame: pd.DataFrame, settings: pd.DataFrame | None) -> Imported:
    try:
        return runs_of_curves(frame, settings)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _offline(path: Path, files: Sequence[Path], columns: Mapping[str, str], settings: pd.DataFrame | None) -> Imported:
    """Return the run table of the files that Weights & Biases keeps offline; runs without accuracies are left out."""
    parts: list[pd.DataFrame] = []
    outcomes: dict[str, str] = {}
    logged: set[str] = set()
    asked = {"train_accuracy", "val_accuracy"} & set(columns)
    for file in files:
        curves, known = read_offline_run(file)
        outcomes[known["run_id"]] = known.pop("outcome")
        names = set(map(str, curves.columns))
        logged |= names
        if {columns[name] for name in asked} <= names and (asked or any(map(is_accuracy, names))):
            fresh = {name: value for name, value in known.items() if name not in curves.columns}
            parts.append(curves.assign(**fresh))
    if not parts:
        raise DataError(
            f"{path} has no run with a metric called like an accuracy; name them, as --column train_accuracy=NAME "
            f"--column val_accuracy=NAME. There are: {', '.join(sorted(map(str, logged))[:20]) or 'none'}."
        )
    found = _runs(path, tidied(pd.concat(parts, ignore_index=True), columns).frame, settings)
    lost = len(files) - len(parts)
    notes = [f"{len(files)} runs of Weights & Biases, kept offline."]
    notes += left_out(lost)
    return Imported(frame=found.frame.assign(outcome=found.frame["run_id"].map(outcomes)), notes=(*notes, *found.notes))


def _chart_in(file: Path) -> pd.DataFrame | None:
    """Return the chart in a file as a long table; None where there is none. What is wrong is said when it is read."""
    try:
        return long_chart(read_table(file)[0])
    except GrokmapError:
        return None


def _charts(
    path: Path, charts: Sequence[pd.DataFrame], columns: Mapping[str, str], settings: pd.DataFrame | None
) -> Imported:
    """Return the run table of charts."""
    try:
        long, charted = joined_charts(charts)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    tidy = tidied(long, columns)
    found = _runs(path, tidy.frame, settings)
    return Imported(frame=found.frame, notes=(*charted, *tidy.notes, *found.notes))


def _curves_in(
    folder: Path, files: Sequence[Path], columns: Mapping[str, str]
) -> Iterator[tuple[pd.DataFrame, list[str]]]:
    """Yield the curves of each file, with the run's name and settings as columns, and how they were read."""
    for file in files:
        name = file.relative_to(folder).as_posix()
        try:
            frame, notes = named_curves(tidied(read_table(file)[0], columns).frame)
        except GrokmapError as error:
            said = str(error) if str(file) in str(error) else f"{file}: {error}"
            raise DataError(f"{said} Every table in the folder is taken for a run's curves.") from None
        known = pairs_in(re.sub(r"\.(csv|tsv|parquet|pq).*$", "", name)) | _config(file.parent, folder)
        fresh = {key: value for key, value in known.items() if key not in frame.columns}
        yield frame.assign(**({} if "run_id" in frame.columns else {"run_id": name}), **fresh), notes


def _config(place: Path, top: Path) -> dict[str, Any]:
    """Return the settings in a run's own folder, nested names with dots; none in the folder of all runs."""
    path = next((place / name for name in CONFIGS if (place / name).is_file()), None)
    if path is None or place == top:
        return {}
    try:
        if path.stat().st_size > LARGEST_CONFIG:
            raise DataError(f"{path} is too large to be a run's settings.")
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        return dict(_flat(values)) if isinstance(values, Mapping) else {}
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as a run's settings: {str(error)[:200]}") from error


def _flat(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield (
                f"{prefix}{key}",
                value if isinstance(value, (str, int, float, bool)) else json.dumps(value, default=str),
            )
