"""Folders with a file of curves a run, as Hydra's multirun leaves them: settings from the files and names beside."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from analysis.importing.curve_tables import Imported, named_curves, runs_of_curves
from analysis.runs.columns import tidied
from analysis.runs.table_files import read_table
from grokcore.errors import DataError, GrokmapError

CONFIGS = (".hydra/config.yaml", "config.yaml", "config.json", "params.json")
"""Where the settings of a run stand, in its own folder; the first that is there counts."""
LARGEST_CONFIG = 1_000_000
"""Bytes of settings beyond which a file is something else."""
_CURVES = re.compile(r".*\.(csv|tsv|parquet|pq)(\.(gz|bz2|xz))?", re.IGNORECASE)
_PAIR = re.compile(r"([A-Za-z][\w.]*)=([^,/\\;]+)")


def import_curves(path: Path, columns: Mapping[str, str], settings: Path | None = None) -> Imported:
    """Return the run table of curves at `path`: a long table, or a folder with a file of curves a run.

    In a folder a run is called by its file's path; its settings are those of ``.hydra/config.yaml``, config.yaml,
    config.json or params.json beside it, of names such as ``lr=0.1,wd=1``, and columns that do not change. `columns`
    says by which name a column is meant, `settings` is a table of further settings by run_id. Raises `DataError`.
    """
    table = tidied(read_table(settings)[0], {}).frame if settings is not None else None
    if not path.is_dir():
        frame, notes = read_table(path)
        tidy = tidied(frame, columns)
        found = _runs(path, tidy.frame, table)
        return Imported(frame=found.frame, notes=(*notes, *tidy.notes, *found.notes))
    parts: list[pd.DataFrame] = []
    said: dict[str, None] = {}
    for frame, notes in _curves_in(path, columns):
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


def _curves_in(folder: Path, columns: Mapping[str, str]) -> Iterator[tuple[pd.DataFrame, list[str]]]:
    """Yield the curves of each file, with the run's name and settings as columns, and how they were read."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and _CURVES.fullmatch(path.name))
    for file in files:
        name = file.relative_to(folder).as_posix()
        try:
            frame, notes = named_curves(tidied(read_table(file)[0], columns).frame)
        except GrokmapError as error:
            said = str(error) if str(file) in str(error) else f"{file}: {error}"
            raise DataError(f"{said} Every table in the folder is taken for a run's curves.") from None
        known = dict(_PAIR.findall(re.sub(r"\.(csv|tsv|parquet|pq).*$", "", name))) | _config(file.parent, folder)
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
