"""The mirror of a sweep in MLflow: one run a training run, flat, and one for the sweep itself with its map.

Whatever is missing, after a crash or because the server was away, is written the next time or by
``grokmap track NAME``: the store is the truth. All that MLflow has of a sweep carries its identity (`sweep_identity`);
what is written of a run is in `run_entry`, how in `run_writer`. One process at a time writes a sweep (`sole_writer`).
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grokcore.records.regimes import REGIMES
from grokcore.records.run_record import RunRecord
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.early_end import runs_wanted
from sweeps.store.run_store import read_records, record_ids
from sweeps.tracking.browsing import LOOPBACK, PORT, found_runs
from sweeps.tracking.database import database_file, make_ready, shown, tracking_uri
from sweeps.tracking.run_entry import entry_of
from sweeps.tracking.run_writer import DATABASES, DatabaseWriter, RunWriter, ServerWriter, There, engine_of
from sweeps.tracking.study_file import write_study
from sweeps.tracking.sweep_identity import sweep_identity
from sweeps.tracking.trouble import TrackingBusyError, TrackingError, trouble

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

ARTIFACTS: Final = ("spec.toml", "map*.*", "definition.json", "runs.parquet")
"""Files of the sweep's folder that its run carries."""

TOGETHER: Final = 64
"""Runs that are read at a time, and written before the next."""

NOTE: Final = "mlflow.note.content"
"""The tag that MLflow shows as a description."""


class Mirror:
    """Writes the sweep in folder `path` to MLflow, each run once.

    Raises `TrackingError` where MLflow cannot be written, a `PassingTrackingError` if that may change.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spec = SweepSpec.from_toml(path / "spec.toml")
        self.sweep_id = sweep_identity(path)
        self.uri = tracking_uri(path.parent)
        with _in_words(self.uri):
            make_ready(self.uri)
            self._client = _client(self.uri)
            self._experiment, self._artifacts = self._find_experiment()

    @functools.cached_property
    def _writer(self) -> RunWriter:
        if self.uri.startswith(DATABASES):
            return DatabaseWriter(engine_of(self.uri), self._experiment, self._artifacts)
        return ServerWriter(self._client, self._experiment)

    @functools.cached_property
    def _there(self) -> There:
        """What MLflow has of the sweep, read once before the first is written; what is there twice is merged."""
        found = self._writer.there(self.spec.name, self.sweep_id, self.spec.rule.sentence())
        if found.nameless:
            self._adopt(found)
        for name in found.superfluous:
            self._client.delete_run(name)
        return found

    def _adopt(self, found: There) -> None:
        """Give the sweep's identity to runs that an earlier version wrote under its name, each once."""
        ours = set(record_ids(self.path)) & found.nameless.keys()
        for run_id in ours:
            for name, status in found.nameless[run_id]:
                # The rule of a sweep could not change then.
                given = {"sweep_id": self.sweep_id, "rule": self.spec.rule.sentence()}
                found.add(name, status, {"run_id": run_id, **given}, given["rule"])
                for tag, text in given.items():
                    self._client.set_tag(name, tag, text)
        if ours:
            for run in self._runs("tags.kind = 'sweep'"):
                if "sweep_id" not in run.data.tags:
                    self._client.delete_run(run.info.run_id)

    def find(self, run_id: str | None) -> str | None:
        """Return MLflow's name of the run of that identity, or of the sweep's own; None if it is not there."""
        which = "tags.kind = 'sweep'" if run_id is None else f"tags.run_id = '{run_id}'"
        mine = (run for run in self._runs(f"tags.sweep_id = '{self.sweep_id}' and {which}"))
        return next((str(run.info.run_id) for run in mine), None)

    def page(self, run_id: str) -> str | None:
        """Return the address of a run's page in MLflow, as `grokmap ui` shows a database; None if it is not there."""
        name = self._there.runs.get(run_id)
        server = f"http://{LOOPBACK}:{PORT}" if self.uri.startswith(DATABASES) else self.uri.rstrip("/")
        return None if name is None else f"{server}/#/experiments/{self._experiment}/runs/{name}"

    def write(self, record: RunRecord) -> bool:
        """Write one run unless it is there already; say whether it was written."""
        return self.write_all([record]) == 1

    def write_all(self, records: Iterable[RunRecord]) -> int:
        """Write those that are not there yet; return how many were written."""
        written, waiting = 0, iter(records)
        with _in_words(self.uri):
            while some := list(itertools.islice(waiting, TOGETHER)):
                new = {record.run_id: record for record in some if record.run_id not in self._there.runs}
                map_at = found_runs(self._experiment, f"tags.kind = 'sweep' and {self._own}")
                entries = [entry_of(record, self.spec, self.sweep_id, map_at) for record in new.values()]
                self._writer.write(entries, self._there)
                written += len(entries)
        return written

    def write_sweep(self) -> None:
        """Write the sweep's own run: specification, counts, and the map's files as far as they are there."""
        counts, times = dict.fromkeys(map(str, REGIMES), 0), list[tuple[float, float]]()
        for record in read_records(self.path):
            verdict = record.verdict_under(self.spec.rule)
            counts[verdict] = counts.get(verdict, 0) + 1
            times += [] if record.trained is None else [record.trained]
        rule = self.spec.rule.sentence()
        # All that may change from one writing to the next is a tag: params cannot change, metrics fill charts.
        tags = {
            "runs": runs_wanted(self.path, self.spec),
            "finished": sum(counts.values()),
            "rule": rule,
            "sampler": self.spec.sampler,
        }
        with _in_words(self.uri):
            # Before all of its runs, those too that are not finished yet: it is the first in the list.
            began = min([(self.path / "spec.toml").stat().st_mtime, *(begin - 1.0 for begin, _ in times)])
            run = self.find(None) or self._create(round(1000 * began))
            for name, value in {**tags, **counts, NOTE: self._note(counts)}.items():
                self._client.set_tag(run, name, value)
            for pattern in ARTIFACTS:
                for file in sorted(self.path.glob(pattern)):
                    self._client.log_artifact(run, str(file))
            self._client.set_terminated(run, end_time=round(1000 * max(end for _, end in times)) if times else None)

    def attach(self, run_id: str | None, files: Sequence[Path], place: str | None = None) -> bool:
        """Log files to the run of that identity, or to the sweep's own; say whether MLflow has the run."""
        found = self.find(run_id)
        for file in files if found else ():
            self._client.log_artifact(found, str(file), place)
        return found is not None

    def _note(self, counts: dict[str, int]) -> str:
        space = self.spec.whole_space.dimensions
        own_runs = found_runs(self._experiment, f"tags.kind = 'run' and {self._own}")
        rows = "\n".join(f"| {name} | {count} |" for name, count in counts.items())
        return (
            f"**Sweep {self.spec.name}**: {', '.join(space)} varied by {self.spec.sampler}.\n\n"
            f"Rule: {self.spec.rule.sentence()}.\n\n| regime | runs |\n|---|---|\n{rows}\n\n"
            f"[Its runs alone]({own_runs}).\n\n"
            "The map is under Artifacts: `map.html` to explore, `map.png`, `map.svg` and `map.pdf` to print."
        )

    @property
    def _own(self) -> str:
        return f"tags.sweep_id = '{self.sweep_id}'"

    def _create(self, start: int) -> str:
        tags = {"kind": "sweep", "sweep": self.spec.name, "sweep_id": self.sweep_id}
        run = self._client.create_run(self._experiment, start_time=start, tags=tags, run_name=f"sweep {self.spec.name}")
        return str(run.info.run_id)

    def _find_experiment(self) -> tuple[str, str]:
        """Return MLflow's name of the sweep's experiment, made if need be, and where its artifacts are."""
        found = self._client.get_experiment_by_name(self.spec.name)
        if found is None:
            found = self._client.get_experiment(self._make_experiment())
        elif found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        if NOTE not in found.tags:
            self._client.set_experiment_tag(found.experiment_id, NOTE, self._description())
        return str(found.experiment_id), str(found.artifact_location)

    def _make_experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        location = None
        if self.uri.startswith(DATABASES):
            location = (self.path.parent / "mlflow-artifacts" / self.spec.name).resolve().as_uri()
        # The tag opens MLflow's view for training runs, not the one for language models.
        tags = {"mlflow.experimentKind": "custom_model_development", NOTE: self._description()}
        try:
            return str(self._client.create_experiment(self.spec.name, artifact_location=location, tags=tags))
        except MlflowException:
            # Another sweep of this name may have made it in this very moment.
            found = self._client.get_experiment_by_name(self.spec.name)
            if found is None:
                raise
            return str(found.experiment_id)

    def _description(self) -> str:
        return (
            f"Sweeps called {self.spec.name}: one run for each training run, and one (tag kind = sweep) for the sweep "
            "with its map under Artifacts. Each sweep's runs carry its identity as the tag sweep_id."
        )

    def _runs(self, query: str) -> Iterator[Run]:
        """Yield all runs of the experiment that a query finds."""
        token = None
        while True:
            page = self._client.search_runs([self._experiment], query, max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return


@contextlib.contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Be the one process that writes the sweep in folder `path` to MLflow, by a lock that dies with its owner.

    Raises `TrackingBusyError` if another one is.
    """
    with contextlib.ExitStack() as closing:
        try:
            lock = closing.enter_context((path / "mlflow.lock").open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrackingBusyError(
                f"sweep {path.name!r} is being written to MLflow by another process, its own while it runs, which "
                "writes all of it: wait for its end."
            ) from None
        except OSError as error:
            raise TrackingError(f"{path / 'mlflow.lock'}: {error.strerror}.") from None
        yield


def track(path: Path) -> int:
    """Write all that MLflow lacks of the sweep in folder `path`; return how many runs were written."""
    with sole_writer(path):
        mirror = Mirror(path)
        written = mirror.write_all(read_records(path))
        mirror.write_sweep()
        write_study(path, mirror.page)
        return written


def offer(path: Path, run_id: str | None, files: Sequence[Path], place: str | None, say: Callable[[str], None]) -> None:
    """Attach files if the sweep in folder `path` is mirrored at all; whatever prevents it is said, never raised."""
    file = database_file(tracking_uri(path.parent))
    if file is not None and not file.exists():
        return
    try:
        if not Mirror(path).attach(run_id, files, place):
            what = f"run {run_id}" if run_id else f"the sweep {path.name}"
            say(f"MLflow does not have {what} yet: grokmap track {path}")
    except Exception as error:  # MLflow raises its own errors, SQLAlchemy's, requests' and sqlite3's
        say(f"{files[0].name} could not be logged to MLflow: {error}")


@contextlib.contextmanager
def _in_words(uri: str) -> Iterator[None]:
    """Raise what goes wrong with MLflow as a sentence; a program's own errors, and the user's, stay what they are."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise trouble(error, shown(uri)) from error


def _client(uri: str) -> MlflowClient:
    from mlflow.tracking import MlflowClient
    from sqlalchemy import Engine, event

    from sweeps.tracking.database import wait_for_no_disk

    if uri.startswith("sqlite:") and not event.contains(Engine, "connect", wait_for_no_disk):
        event.listen(Engine, "connect", wait_for_no_disk)
    client = MlflowClient(tracking_uri=uri)
    if (file := database_file(uri)) is not None:
        # MLflow takes an escaped address for a folder's name, and makes one.
        literal = Path(uri.removeprefix("sqlite:///")).parent
        if literal != file.parent:
            with contextlib.suppress(OSError):
                literal.rmdir()
    return client
