"""Store: what a sweep has done so far, on disk; the truth from which everything else can be made again.

``results/NAME/`` holds `spec.toml`, three append-only files of JSON lines, `asked.jsonl` (every run chosen),
`cohorts.jsonl` (every cohort handed out) and `records.jsonl` (every run finished), checkpoints of unfinished cohorts,
and in the end `runs.parquet` and `curves.parquet`. A line counts once its newline is on disk: a crash can tear the
last one only, and a torn line is cut off when the store is opened again.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from grokcore.atomic_files import write_text
from grokcore.errors import DataError, GrokmapError, SweepExistsError
from grokcore.records.regimes import RegimeRule
from grokcore.records.run_record import RunRecord
from sweeps.spec import toml
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.checkpoint_store import FOLDER, checkpoint_name
from sweeps.store.storage import place

TABLE_RUNS = 2000
"""Runs whose curves are held at once while the tables are written."""

_COHORT = re.compile("[0-9a-f]{16}")
_RUN_ID = re.compile(r'"run_id":"([0-9a-f]{16})"')


class SweepBusyError(GrokmapError):
    """Another process is running this sweep now."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A run that the sampler chose: its number in the study, the sampler's parameters, and the run's identity."""

    number: int
    """Number of the Optuna trial."""
    params: Mapping[str, Any]
    """Optuna's parameters."""
    run_id: str
    """Identity of the run they stand for; two trials may ask for the same run."""


class Store:
    """The folder of one sweep, open for appending by one process at a time.

    Raises `SweepExistsError` if runs were chosen there by another specification, `SweepBusyError` if it is in use.
    """

    def __init__(self, spec: SweepSpec, results: Path) -> None:
        self.spec = spec
        self.path = results / spec.name
        self.path.mkdir(parents=True, exist_ok=True)
        self.storage = spec.own_storage or str(self.path.resolve())
        self._lock = (self.path / "lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise SweepBusyError(
                f"sweep {spec.name!r} is being run by another process; wait for it, or give this one another name."
            ) from None
        with contextlib.ExitStack() as closing:
            closing.callback(self._lock.close)
            self._check_spec()
            self._asked, self._cohorts, self._records = (
                closing.enter_context(_open_lines(self.path / f"{name}.jsonl"))
                for name in ("asked", "cohorts", "records")
            )
            self._finished = set(record_ids(self.path))
            closing.pop_all()

    def _check_spec(self) -> None:
        path = self.path / "spec.toml"
        begun = any(file.stat().st_size for file in self.path.glob("*.jsonl"))
        # A sweep that was refused before its first run was chosen binds nobody.
        if path.exists() and begun:
            changes = list(toml.differences(SweepSpec.from_toml(path).to_dict(), self.spec.to_dict()))
            if changes:
                raise SweepExistsError(refusal(self.spec.name, changes, self.path.parent))
        elif not path.exists() or SweepSpec.from_toml(path) != self.spec:
            # A specification that says the same in its author's own words, with comments, stays as it is.
            write_text(path, self.spec.to_toml())

    def ask(self, asked: Iterable[Asked]) -> None:
        """Write down that these runs were chosen."""
        _append(self._asked, [json.dumps(vars(item)) for item in asked])

    def hand_out(self, cohort: str, run_ids: Iterable[str]) -> None:
        """Write down that a cohort of these runs is being trained, so that its checkpoint can be gone on with."""
        _append(self._cohorts, [json.dumps({"cohort": cohort, "run_ids": list(run_ids)})])

    def add(self, records: Iterable[RunRecord]) -> list[RunRecord]:
        """Write down finished runs, each once, and return those that were not there yet."""
        new: dict[str, RunRecord] = {}
        for record in records:
            if record.run_id not in self._finished:
                new.setdefault(record.run_id, record)
        # The identity comes first in the line, so that it can be found without reading all of it.
        _append(self._records, [f'{{"run_id":"{run_id}",{record.to_json()[1:]}' for run_id, record in new.items()])
        self._finished.update(new)
        return list(new.values())

    @property
    def finished(self) -> frozenset[str]:
        """Return the identities of all runs written down."""
        return frozenset(self._finished)

    def asked(self) -> list[Asked]:
        """Read all runs chosen so far, in order."""
        try:
            return [Asked(**json.loads(line)) for line in _lines(self.path / "asked.jsonl")]
        except (ValueError, TypeError) as error:
            raise DataError(f"{self.path / 'asked.jsonl'} is damaged: {error}. Restore it from a backup.") from error

    def cohorts(self) -> dict[str, list[str]]:
        """Read the cohorts that have a checkpoint: name to run identities, in the cohort's own order."""
        path = self.path / "cohorts.jsonl"
        try:
            handed = {str(item["cohort"]): list(map(str, item["run_ids"])) for item in map(json.loads, _lines(path))}
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path} is damaged: {error}. Delete it: unfinished cohorts start anew.") from error
        # A name becomes a path: nothing but what `Driver` makes is one.
        there = {file.removesuffix(".pt") for file in place(self.storage).names(FOLDER)}
        return {name: ids for name, ids in handed.items() if name in there and _COHORT.fullmatch(name)}

    def forget(self, cohort: str) -> None:
        """Delete the checkpoint of a cohort that is over."""
        place(self.storage).delete(checkpoint_name(cohort))

    def records(self) -> Iterator[RunRecord]:
        """Read all finished runs, in the order in which they finished."""
        return read_records(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files and let others run the sweep."""
        for file in (self._asked, self._cohorts, self._records, self._lock):
            # A line that found no room is tried once more here; that it was not written has been said.
            with contextlib.suppress(OSError):
                file.close()


def refusal(name: str, changes: Iterable[str], results: Path) -> str:
    """Return why a sweep is not started over one of the same name, and what can be done."""
    number = 2
    while (results / f"{name}-{number}").exists():
        number += 1
    lines = "\n".join(f"  {change}" for change in changes)
    return (
        f"sweep {name!r} exists with another specification (there → now):\n{lines}\n"
        f"Give this one a new name (--name {name}-{number}), or go on with the old one (--continue)."
    )


def meant(target: Path, results: Path) -> Path:
    """Return the folder of the sweep that a user named; the path itself where there is such a file or no such sweep."""
    named = results / target
    return named if not target.exists() and (named / "spec.toml").exists() else target


def read_records(path: Path, *, offset: int = 0) -> Iterator[RunRecord]:
    """Read the finished runs of the sweep in folder `path`, in the order in which they finished, from a byte on."""
    for number, line in enumerate(_lines(path / "records.jsonl", offset), start=1):
        try:
            yield RunRecord.from_json(line)
        except GrokmapError as error:
            raise DataError(f"{path / 'records.jsonl'}, line {number}: {error}") from error


def record_ids(path: Path) -> Iterator[str]:
    """Read the identities of the finished runs of the sweep in folder `path`."""
    for line in _lines(path / "records.jsonl"):
        match = _RUN_ID.search(line[:64].decode("ascii", "replace"))
        if match is None:
            raise DataError(f"{path / 'records.jsonl'} holds a line that is no run record: {line[:60]!r}.")
        yield match[1]


def write_tables(path: Path, rule: RegimeRule) -> pd.DataFrame:
    """Write `runs.parquet` and `curves.parquet` of the sweep in folder `path`; return the runs.

    Curves pass through in batches of `TABLE_RUNS` runs, so that memory does not grow with the sweep.
    """
    frames = [pd.DataFrame()]
    with _room(path), tempfile.TemporaryDirectory(prefix=".tables-", dir=path) as folder:
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


def _lines(path: Path, offset: int = 0) -> Iterator[bytes]:
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if line.endswith(b"\n"):
                yield line


def _open_lines(path: Path) -> Any:
    """Open a file of lines for appending, after cutting off a line that a crash tore."""
    file = path.open("ab+")
    end = file.seek(0, os.SEEK_END)
    keep = end
    while keep > 0:
        start = max(0, keep - 65536)
        file.seek(start)
        newline = file.read(keep - start).rfind(b"\n")
        if newline >= 0:
            keep = start + newline + 1
            break
        keep = start
    if keep < end:
        file.truncate(keep)
    return file


def _append(file: Any, lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines).encode()
    if not text:
        return
    with _room(file.name):
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _room(place: object) -> Iterator[None]:
    """Turn what a full or broken disk raises into a sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{place}: {reason}. Make room or mend the disk; the same command then goes on.") from error
