"""Two ways to write runs to MLflow: into its database, many in one transaction, or to a server, a few at a time.

Whichever way, a run is there once. In a database its name follows from the sweep's identity and the run's own, so that
writing it again changes nothing. A server chooses names itself: there an unfinished run is gone on with.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from sweeps.tracking.database import wait_for_no_disk
from sweeps.tracking.run_entry import RunEntry

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient
    from sqlalchemy import Connection, Engine

BATCH: Final = 1000
"""Metric values in one call, MLflow's own limit."""

LANES: Final = 4
"""Runs that are written at the same time to a server, which takes a while over each."""

DATABASES: Final = ("sqlite:", "postgresql:", "postgresql+")
"""How the addresses of databases begin that runs are written into past MLflow's own interface."""


@dataclass(kw_only=True)
class There:
    """What MLflow has of one sweep already."""

    runs: dict[str, str] = field(default_factory=dict)
    """MLflow's name of each run that is finished, by the identity of ours."""
    unfinished: dict[str, str] = field(default_factory=dict)
    """The same of runs that a writer did not come to the end of."""
    stale: dict[str, str] = field(default_factory=dict)
    """The same of runs that were judged by another rule."""
    superfluous: list[str] = field(default_factory=list)
    """MLflow's names of runs that are there twice."""
    nameless: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """MLflow's name and status of runs that an earlier version wrote, without the sweep's identity."""

    def add(self, name: str, status: str, tags: Mapping[str, str | None], rule: str | None) -> None:
        """Take in a run that MLflow has."""
        run_id = tags.get("run_id") or ""
        if not tags.get("sweep_id"):
            self.nameless.setdefault(run_id, []).append((name, status))
        elif run_id in self.runs or run_id in self.stale:
            self.superfluous.append(name)
        elif status == "RUNNING":
            if run_id in self.unfinished:
                self.superfluous.append(name)
            self.unfinished.setdefault(run_id, name)
        else:
            if run_id in self.unfinished:
                self.superfluous.append(self.unfinished.pop(run_id))
            (self.runs if tags.get("rule") == rule else self.stale)[run_id] = name


class RunWriter(Protocol):
    """Writes runs of one sweep into one experiment."""

    def there(self, sweep: str, sweep_id: str, rule: str) -> There:
        """Return what is there of the sweep, under its identity, or under its name alone."""

    def write(self, entries: Sequence[RunEntry], there: There) -> None:
        """Write runs that are not there; they are in `there` afterwards."""


class DatabaseWriter:
    """Writes rows as MLflow would, past its interface, which takes 30 ms a run; a batch goes in whole or not at all."""

    def __init__(self, engine: Engine, experiment: str, artifacts: str) -> None:
        self._engine, self._experiment, self._artifacts = engine, int(experiment), artifacts

    def there(self, sweep: str, sweep_id: str, rule: str) -> There:
        """Return what is there of the sweep."""
        from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
        from sqlalchemy import select
        from sqlalchemy.orm import aliased

        wanted = {name: aliased(SqlTag) for name in ("run_id", "sweep", "sweep_id", "rule", "kind")}
        query: Any = select(SqlRun.run_uuid, SqlRun.status, *(tag.value for tag in wanted.values()))
        for name, tag in wanted.items():
            query = query.outerjoin(tag, (tag.run_uuid == SqlRun.run_uuid) & (tag.key == name))
        query = query.where(SqlRun.experiment_id == self._experiment, SqlRun.lifecycle_stage == "active")
        found = There()
        with self._engine.connect() as connection, _uncollected():
            for name, status, *values in connection.execute(query.order_by(SqlRun.start_time, SqlRun.run_uuid)):
                tags = dict(zip(wanted, values, strict=True))
                if tags["kind"] != "sweep" and _is_of(tags, sweep, sweep_id):
                    found.add(name, status, tags, rule)
        return found

    def write(self, entries: Sequence[RunEntry], there: There) -> None:
        """Write runs in one transaction; what another writer has put there meanwhile stays as it is."""
        names = {entry.run_id: there.stale.get(entry.run_id) or there.unfinished.get(entry.run_id) for entry in entries}
        with self._engine.begin() as connection:
            _delete(connection, [name for name in names.values() if name is not None])
            chosen = {e.run_id: names[e.run_id] or _name(e) for e in entries}
            for table, rows in self._rows(entries, chosen).items():
                _insert(connection, table, rows)
        for entry in entries:
            there.stale.pop(entry.run_id, None)
            there.unfinished.pop(entry.run_id, None)
        there.runs |= chosen

    def _rows(self, entries: Sequence[RunEntry], names: Mapping[str, str]) -> dict[Any, list[dict[str, Any]]]:
        """Return the rows of these runs by MLflow's table."""
        from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag

        tables = SqlRun, SqlTag, SqlParam, SqlMetric, SqlLatestMetric
        rows: dict[Any, list[dict[str, Any]]] = {table.__table__: [] for table in tables}
        runs, tags, params, metrics, latest = rows.values()
        for entry in entries:
            name, now = names[entry.run_id], int(1000 * time.time())
            key = {"run_uuid": name}
            runs.append(self._run(entry, name, now))
            tagged = {**entry.tags, "mlflow.runName": entry.name}
            tags += [{**key, "key": tag, "value": text} for tag, text in tagged.items()]
            params += [{**key, "key": param, "value": text} for param, text in entry.params.items()]
            values: list[dict[str, Any]] = [
                {**key, "key": metric, "value": value, "step": step, "timestamp": step, "is_nan": False}
                for metric, value, step in entry.metrics
            ]
            metrics += values
            latest += {value["key"]: value for value in sorted(values, key=lambda value: value["step"])}.values()
        return rows

    def _run(self, entry: RunEntry, name: str, now: int) -> dict[str, Any]:
        return {
            "run_uuid": name,
            "name": entry.name,
            "source_type": "UNKNOWN",
            "source_name": "",
            "entry_point_name": "",
            "source_version": "",
            "user_id": "unknown",
            "status": entry.status,
            "start_time": now if entry.start is None else entry.start,
            "end_time": now if entry.end is None else entry.end,
            "lifecycle_stage": "active",
            "artifact_uri": f"{self._artifacts.rstrip('/')}/{name}/artifacts",
            "experiment_id": self._experiment,
        }


class ServerWriter:
    """Writes runs by MLflow's own interface, `LANES` at a time."""

    def __init__(self, client: MlflowClient, experiment: str, lanes: int = LANES) -> None:
        self._client, self._experiment, self._lanes = client, experiment, lanes

    def there(self, sweep: str, sweep_id: str, rule: str) -> There:
        """Return what is there of the sweep."""
        found, token = There(), None
        while True:
            with _uncollected():
                page = self._client.search_runs(
                    [self._experiment], f"tags.sweep = '{sweep}'", max_results=1000, page_token=token
                )
            for run in page:
                if run.data.tags.get("kind") != "sweep" and _is_of(run.data.tags, sweep, sweep_id):
                    found.add(run.info.run_id, run.info.status, run.data.tags, rule)
            token = page.token
            if not token:
                return found

    def write(self, entries: Sequence[RunEntry], there: There) -> None:
        """Write runs side by side."""
        with ThreadPoolExecutor(self._lanes) as pool:
            for _ in pool.map(functools.partial(self._write, there=there), entries):
                pass

    def _write(self, entry: RunEntry, there: There) -> None:
        from mlflow.entities import Metric, Param

        if old := there.stale.pop(entry.run_id, None):
            # What was logged cannot be taken back one by one.
            self._client.delete_run(old)
        if entry.run_id not in there.unfinished:
            there.unfinished[entry.run_id] = self._create(entry)
        run = there.unfinished[entry.run_id]
        metrics = [Metric(name, value, step, step) for name, value, step in entry.metrics]
        self._client.log_batch(run, metrics[:BATCH], [Param(name, text) for name, text in entry.params.items()])
        for start in range(BATCH, len(metrics), BATCH):
            self._client.log_batch(run, metrics[start : start + BATCH])
        self._client.set_terminated(run, entry.status, entry.end)
        there.runs[entry.run_id] = there.unfinished.pop(entry.run_id)

    def _create(self, entry: RunEntry) -> str:
        # The tags go in with the run itself, which is cheaper, and lets an unfinished run be recognised.
        run: Run = self._client.create_run(
            self._experiment, start_time=entry.start, tags=dict(entry.tags), run_name=entry.name
        )
        return str(run.info.run_id)


def _is_of(tags: Mapping[str, str | None], sweep: str, sweep_id: str) -> bool:
    """Say whether a run is the sweep's: by identity, or by name where an earlier version wrote no identity."""
    return tags.get("sweep") == sweep and bool(tags.get("run_id")) and tags.get("sweep_id") in (None, sweep_id)


def _name(entry: RunEntry) -> str:
    return hashlib.sha256(f"{entry.tags['sweep_id']} {entry.run_id}".encode()).hexdigest()[:32]


def _delete(connection: Connection, names: Iterable[str]) -> None:
    from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag
    from sqlalchemy import delete

    if listed := list(names):
        for table in (SqlTag, SqlParam, SqlMetric, SqlLatestMetric, SqlRun):
            connection.execute(delete(table).where(table.run_uuid.in_(listed)))


def _insert(connection: Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    from sqlalchemy.dialects import postgresql, sqlite

    if rows:
        insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert
        connection.execute(insert(table).on_conflict_do_nothing(), rows)


def engine_of(uri: str) -> Engine:
    """Return the engine of the database at that address."""
    import sqlalchemy
    from sqlalchemy import event

    engine = sqlalchemy.create_engine(uri)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", wait_for_no_disk)
    return engine


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python from looking for garbage meanwhile: among a page's many objects that takes most of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
