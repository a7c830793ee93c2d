"""Tables: the finished runs of a sweep and their curves as two Parquet files, made from its records."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from grokcore.records.regimes import RegimeRule
from sweeps.store.lines import room
from sweeps.store.run_store import read_records

TABLE_RUNS = 2000
"""Runs whose curves are held at once while the tables are written."""


def write_tables(path: Path, rule: RegimeRule) -> pd.DataFrame:
    """Write `runs.parquet` and `curves.parquet` of the sweep in folder `path`; return the runs.

    Curves pass through in batches of `TABLE_RUNS` runs, so that memory does not grow with the sweep.
    """
    frames = [pd.DataFrame()]
    for left in path.glob(".tables-*"):
        # Of a process that was killed: only one at a time has the sweep.
        shutil.rmtree(left, ignore_errors=True)
    with room(path), tempfile.TemporaryDirectory(prefix=".tables-", dir=path) as folder:
        parts: list[Path] = []
        records = read_records(path)
        while batch := list(itertools.islice(records, TABLE_RUNS)):
            frames.append(pd.DataFrame([record.row(rule) for record in batch]))
            curves = {record.run_id: record.curves for record in batch}
            long = pd.concat(curves, names=["run_id", None]).reset_index("run_id")
            parts.append(Path(folder) / f"{len(parts)}.parquet")
            long.to_parquet(parts[-1], index=False)
        runs = pd.concat(frames[1:] or frames, ignore_index=True)
        runs.to_parquet(Path(folder) / "runs.parquet", index=False)
        _merge(parts, Path(folder) / "curves.parquet")
        for name in ("runs.parquet", "curves.parquet"):
            (Path(folder) / name).replace(path / name)
    return runs


def _merge(parts: Sequence[Path], target: Path) -> None:
    """Write tables one after the other as one; a column that a part does not have is empty there."""
    if not parts:
        pd.DataFrame({"run_id": [], "step": []}).to_parquet(target, index=False)
        return
    schema = pa.unify_schemas([parquet.read_schema(part).remove_metadata() for part in parts])
    with parquet.ParquetWriter(target, schema) as writer:
        for part in parts:
            table = parquet.read_table(part)
            for field in schema:
                if field.name not in table.column_names:
                    table = table.append_column(field, pa.nulls(len(table), field.type))
            writer.write_table(table.select(schema.names).cast(schema))
