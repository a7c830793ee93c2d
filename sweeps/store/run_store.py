"""Store: what a sweep has done so far, on disk; the truth from which everything else can be made again.

``results/NAME/`` holds `spec.toml`, three append-only files of JSON lines, `asked.jsonl` (every run chosen),
`cohorts.jsonl` (every cohort handed out) and `records.jsonl` (every run finished), checkpoints of unfinished cohorts,
and in the end `runs.parquet` and `curves.parquet`. A line counts once its newline is on disk: a crash can tear the
last one only, and a torn line is cut off when the store is opened again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from grokcore.atomic_files import write_text
from grokcore.config.folders import folders_kept, keep_files, use_folder
from grokcore.errors import ConfigError, DataError, GrokmapError, SweepExistsError
from grokcore.records.run_record import RunRecord
from sweeps.spec import toml
from sweeps.spec.box import narrowings
from sweeps.spec.space import Dimension
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.stopping.base import Expected
from sweeps.store import lines
from sweeps.store.addresses import address_of, instead_of
from sweeps.store.checkpoint_store import FOLDER, checkpoint_name
from sweeps.store.early_end import EXHAUSTED, REACHED, read_end, runs_wanted, write_end
from sweeps.store.storage import place

FREE = (
    "runs", "rule", "wave", "width", "device_share", "checkpoint_seconds", "retries", "map_axes", "until",
)  # fmt: skip
"""Fields that may change while a sweep goes on: no finished run would be another one for it."""

EXTENDED = ("space", "focus", "sampler", "sampler_options", "seed")
"""Fields that may change too when a sweep is extended: who chooses the runs to come, and where."""

_COHORT = re.compile("[0-9a-f]{16}")
_RUN_ID = re.compile(rb'\{"run_id":"([0-9a-f]{16})"')


class FinishedRun(Protocol):
    """What is written down of a finished run: a `RunRecord`, or what a worker reported of one."""

    @property
    def run_id(self) -> str:
        """Identity of the run."""

    def to_json(self) -> str:
        """Return the record as one line of JSON."""


R = TypeVar("R", bound=FinishedRun)


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

    @classmethod
    def from_json(cls, line: bytes) -> Self:
        """Read a line that `Store.ask` wrote; raises ValueError, TypeError or KeyError for anything else."""
        item = json.loads(line)
        number, params, run_id = item["number"], item["params"], item["run_id"]
        if type(number) is not int or not isinstance(params, dict) or not re.fullmatch("[0-9a-f]{16}", run_id):
            raise ValueError("is no choice of a run")
        return cls(number=number, params=params, run_id=run_id)


class Store:
    """The folder of one sweep, open for appending by one process at a time.

    Raises `SweepExistsError` if runs were chosen there by another specification, `SweepBusyError` if it is in use. To
    `extend` it, its space may be larger than it was and its sampler another.
    """

    def __init__(self, spec: SweepSpec, results: Path, *, extend: bool = False) -> None:
        self.spec = spec
        self._extend = extend
        self.path = results / spec.name
        self.storage = spec.own_storage or str(self.path.resolve())
        self.changes: list[str] = []
        """What of the specification is another than before, a line each."""
        self._lock = self._locked()
        with contextlib.ExitStack() as closing:
            closing.callback(self._lock.close)
            with lines.writable(self.path):
                self._check_spec()
                self._asked, self._cohorts, self._records = (
                    closing.enter_context(lines.open_to_append(self.path / f"{name}.jsonl"))
                    for name in ("asked", "cohorts", "records")
                )
            self._finished = set(record_ids(self.path))
            closing.pop_all()

    def _locked(self) -> Any:
        with lines.writable(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise SweepBusyError(
                f"sweep {self.spec.name!r} is being run by another process; wait for it, or give this one another name."
            ) from None
        return lock

    def _check_spec(self) -> None:
        path = self.path / "spec.toml"
        begun = any(file.stat().st_size for file in self.path.glob("*.jsonl"))
        # A sweep that was refused before its first run was chosen binds nobody.
        if path.exists() and begun:
            old, new = _definition(path), self.spec.definition()
            if self._extend:
                changes = [*toml.differences(old, new, but=FREE + EXTENDED)]
                changes += narrowings(_space(path), self.spec.space)
            else:
                changes = [*toml.differences(old, new, but=FREE), *_order(old["space"], new["space"])]
            if changes:
                raise SweepExistsError(refusal(self.spec.name, changes, self.path.parent))
            chosen = len({item.run_id for item in lines.parsed(self.path / "asked.jsonl", Asked.from_json, ANOTHER)})
            if self.spec.runs < chosen:
                raise SweepExistsError(
                    f"sweep {self.spec.name!r} has {chosen} runs chosen already, so runs = {self.spec.runs} cannot be; "
                    f"give at least {chosen}, or a new name."
                )
            self.changes = list(toml.differences(old, new))
        if files := self.spec.component_files:
            # A copy of the folder of components, beside the records of the runs that are made of them.
            keep_files(self.path / "components", files)
        # A specification that says the same in its author's own words, with comments, stays as it is.
        if self.changes or not path.exists() or _definition(path) != self.spec.definition():
            self._write_spec(path)

    def _write_spec(self, path: Path) -> None:
        """Write the specification, and make sure that it is read back as it is."""
        write_text(path, self.spec.to_toml(components="components"))
        if _definition(path) != self.spec.definition():
            raise ConfigError([f"{path} does not read back as it was written; give plain numbers, texts and lists."])

    def ask(self, asked: Iterable[Asked]) -> None:
        """Write down that these runs were chosen."""
        lines.append(self._asked, [json.dumps(vars(item)) for item in asked])

    def hand_out(self, cohort: str, run_ids: Iterable[str], expected: Mapping[str, Expected] | None = None) -> None:
        """Write down that a cohort of these runs is being trained, so that its checkpoint can be gone on with.

        With it, what is `expected` of them, by which they are judged, by identity. It need not be on
        disk at once: what a power cut costs is that cohort's checkpoint.
        """
        line: dict[str, Any] = {"cohort": cohort, "run_ids": list(run_ids)}
        line |= {"expected": dict(expected)} if expected else {}
        lines.append(self._cohorts, [json.dumps(line)], lasting=False)

    def add(self, records: Iterable[R]) -> list[R]:
        """Write down finished runs, each once, and return those that were not there yet."""
        new: dict[str, R] = {}
        for record in records:
            if record.run_id not in self._finished:
                new.setdefault(record.run_id, record)
        # The identity comes first in the line, so that it can be found without reading all of it.
        lines.append(self._records, [f'{{"run_id":"{run_id}",{record.to_json()[1:]}' for run_id, record in new.items()])
        self._finished.update(new)
        return list(new.values())

    @property
    def finished(self) -> frozenset[str]:
        """Return the identities of all runs written down."""
        return frozenset(self._finished)

    def asked(self) -> list[Asked]:
        """Read all runs chosen so far, in order."""
        return read_asked(self.path, self.spec)

    def cohorts(self) -> dict[str, list[str]]:
        """Read the cohorts that have a checkpoint: name to run identities, in the cohort's own order."""
        lost = "the runs of that cohort then start anew"
        handed = {name: ids for name, ids, _ in lines.parsed(self.path / "cohorts.jsonl", _cohort, lost)}
        # A name becomes a path: nothing but what `Driver` makes is one.
        there = {file.removesuffix(".pt") for file in place(self.storage).names(FOLDER)}
        return {name: ids for name, ids in handed.items() if name in there and _COHORT.fullmatch(name)}

    def expected(self) -> dict[str, Expected]:
        """Read what was expected of the runs that were handed out, by identity."""
        return read_expected(self.path)

    def forget(self, cohort: str) -> None:
        """Delete the checkpoint of a cohort that is over."""
        place(self.storage).delete(checkpoint_name(cohort))

    def reach(self, runs: int, said: str) -> None:
        """Write down that the goal that `until` sets is reached with so many runs, and in a sentence how."""
        write_end(self.path, REACHED, self.spec, runs, said)

    def exhaust(self, runs: int, said: str) -> None:
        """Write down that with so many runs the space has no more that could be chosen, and in a sentence why."""
        write_end(self.path, EXHAUSTED, self.spec, runs, said)

    @property
    def wanted(self) -> int:
        """Return how many runs are wanted: those of the specification, or fewer where the sweep ends early."""
        return runs_wanted(self.path, self.spec)

    @property
    def reached(self) -> str:
        """Return in a sentence how the goal was reached; empty where there is none, or it was not."""
        return read_end(self.path, REACHED, self.spec).said

    @property
    def exhausted(self) -> str:
        """Return in a sentence why the space has no more runs; empty where it has."""
        return read_end(self.path, EXHAUSTED, self.spec).said

    @property
    def complete(self) -> bool:
        """Whether all runs are chosen and finished."""
        asked = {item.run_id for item in self.asked()}
        return len(asked) >= self.wanted and asked <= self._finished

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
    """Return the folder of the sweep that a user named; the path itself where there is such a file or no such sweep.

    Raises `DataError` for an address, with what to do instead.
    """
    if (address := address_of(target)) is not None:
        raise DataError(instead_of(address, " --out runs.csv, then: grokmap map runs.csv"))
    named = results / target
    return named if not target.exists() and (named / "spec.toml").exists() else target


def read_asked(path: Path, spec: SweepSpec) -> list[Asked]:
    """Read the runs chosen so far of the sweep in folder `path`, in order."""
    distributions = spec.whole_space.distributions

    def parse(line: bytes) -> Asked:
        item = Asked.from_json(line)
        if other := item.params.keys() - distributions.keys():
            raise ValueError(f"{', '.join(sorted(other))} is not varied in the sweep")
        for name, distribution in distributions.items():
            if not distribution._contains(distribution.to_internal_repr(item.params[name])):
                raise ValueError(f"{name} = {item.params[name]!r} is not in the space of the sweep")
        return item

    return list(lines.parsed(path / "asked.jsonl", parse, ANOTHER))


def read_records(path: Path, *, offset: int = 0) -> Iterator[RunRecord]:
    """Read the finished runs of the sweep in folder `path`, in the order in which they finished, from a byte on.

    Components of its own that it keeps are imported, so they must be code that you would run.
    """
    if (path / "components").is_dir():
        use_folder(path / "components")
    return lines.parsed(path / "records.jsonl", _record, RETRAINED, offset)


def record_ids(path: Path) -> Iterator[str]:
    """Read the identities of the finished runs of the sweep in folder `path`."""
    return lines.parsed(path / "records.jsonl", _record_id, RETRAINED)


ACCURACIES = frozenset({"train_accuracy", "val_accuracy"})
"""Curves that every run has that was evaluated at all."""

ANOTHER = "another run is then chosen in its place"
"""What leaving out a line of choices costs."""

RETRAINED = "its run is then trained again when the sweep goes on"
"""What leaving out a line of records costs."""


def _record(line: bytes) -> RunRecord:
    record = RunRecord.from_json(line)
    if len(record.columns["step"]) and (missing := ACCURACIES - record.columns.keys()):
        raise ValueError(f"there is no curve {', '.join(sorted(missing))}")
    return record


def _record_id(line: bytes) -> str:
    match = _RUN_ID.match(line)
    if match is None:
        raise ValueError(f"does not begin as a run record does: {line[:40]!r}")
    return match[1].decode()


def read_expected(path: Path) -> dict[str, Expected]:
    """Read what was expected of the runs of a sweep's folder when they were handed out, by identity."""
    lost = "the runs of that cohort are then judged by the runs that are over by now"
    handed = lines.parsed(path / "cohorts.jsonl", _cohort, lost)
    return {run_id: one for _, _, expected in handed for run_id, one in expected.items()}


def _cohort(line: bytes) -> tuple[str, list[str], dict[str, Expected]]:
    item = json.loads(line)
    expected = {str(run_id): Expected.of(one) for run_id, one in item.get("expected", {}).items()}
    return str(item["cohort"]), list(map(str, item["run_ids"])), expected


def _definition(path: Path) -> dict[str, Any]:
    """Return the definition of the sweep that is there; its components are used for that alone."""
    with folders_kept():
        return SweepSpec.from_toml(path).definition()


def _space(path: Path) -> Mapping[str, Dimension]:
    """Return the space of the sweep that is there."""
    with folders_kept():
        return SweepSpec.from_toml(path).space


def _order(old: Iterable[str], new: Iterable[str]) -> Iterator[str]:
    """Yield that the varied fields stand in another order, in which a sampler would choose other runs."""
    if list(old) != list(new) and set(old) == set(new):
        yield f"space, in its order: {', '.join(old)} → {', '.join(new)}"
