"""The mirror of a sweep in MLflow: one run a training run, flat, and one for the sweep itself with its map.

Whatever is missing, after a crash or because the server was away, is written the next time or by
``grokmap track NAME``: the store is the truth. What is written of a run:

- params: the configuration, dotted (``optimizer.decay``);
- tags: ``run_id``, ``sweep``, ``regime``, ``outcome``, ``reason``, ``milestones`` (JSON, named as in `runs.parquet`),
  ``kind`` ("run", or "sweep" for the sweep's own);
- metrics: at most `POINTS` log-spaced points of each curve with the optimizer step as MLflow's step, and ``t_mem``,
  ``t_gen``, ``t_mem_event``, ``t_gen_event``. Their timestamp is the step too, so that writing twice changes nothing.

This is the only module of the sweeps that knows MLflow.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from grokcore.records.regimes import REGIMES
from grokcore.records.run_record import Outcome, RunRecord
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.run_store import read_records

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

POINTS: Final = 24
"""Points of each curve that are written."""

ARTIFACTS: Final = ("spec.toml", "map*.*", "definition.json", "runs.parquet")
"""Files of the sweep's folder that its run carries."""

BATCH: Final = 1000
"""Metric values in one call, MLflow's own limit."""

TOGETHER: Final = 32
"""Runs that are read at a time, and written before the next."""

LANES: Final = 4
"""Runs that are written at the same time to a server, which takes a while over each; a database in a file takes one."""


def tracking_uri(results: Path) -> str:
    """Return where runs are mirrored: MLFLOW_TRACKING_URI, or results/mlflow.db."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(results / 'mlflow.db').resolve()}"


class Mirror:
    """Writes the sweep in folder `path` to MLflow, each run once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spec = SweepSpec.from_toml(path / "spec.toml")
        self.uri = tracking_uri(path.parent)
        self._client = _client(self.uri)
        self._experiment = self._find_experiment()

    @functools.cached_property
    def _known(self) -> dict[str, tuple[str, bool]]:
        """MLflow's run and whether it is finished, by the identity of ours; read once, before the first is written."""
        runs = ((run.info, run.data.tags.get("run_id")) for run in self._runs())
        return {run_id: (info.run_id, info.status != "RUNNING") for info, run_id in runs if run_id}

    def find(self, run_id: str | None) -> str | None:
        """Return MLflow's name of the run of that identity, or of the sweep's own; None if it is not there."""
        query = " and tags.kind = 'sweep'" if run_id is None else f" and tags.run_id = '{run_id}'"
        return next((str(run.info.run_id) for run in self._runs(query)), None)

    def write(self, record: RunRecord) -> bool:
        """Write one run unless it is there already; say whether it was written."""
        there, finished = self._known.get(record.run_id, (None, False))
        if finished:
            return False
        # The tags go in with the run itself, which is cheaper, and lets an unfinished run be recognised.
        run = there or self._create(self.run_name(record), _tags(record, self.spec))
        self._known[record.run_id] = (run, False)
        self._log(run, _metrics(record, self.spec), record.config.to_flat())
        self._client.set_terminated(run, "FAILED" if record.outcome is Outcome.FAILED else "FINISHED")
        self._known[record.run_id] = (run, True)
        return True

    def write_all(self, records: Iterable[RunRecord]) -> int:
        """Write those that are not there yet; return how many were written."""
        lanes = 1 if self.uri.startswith("sqlite:") else LANES
        written, waiting = 0, iter(records)
        _ = self._known  # read by one, not by each lane
        with ThreadPoolExecutor(lanes) as pool:
            while some := list(itertools.islice(waiting, TOGETHER)):
                written += sum(pool.map(self.write, some))
        return written

    def write_sweep(self) -> None:
        """Write the sweep's own run: specification, counts, and the map's files as far as they are there."""
        from mlflow.entities import Metric

        records = [record.regime_under(self.spec.rule) for record in read_records(self.path)]
        counts = {str(regime): records.count(regime) for regime in REGIMES}
        run = self.find(None) or self._create(f"sweep {self.spec.name}", {"kind": "sweep"})
        metrics = [Metric(name, count, 0, 0) for name, count in {**counts, "finished": len(records)}.items()]
        params = {"runs": self.spec.runs, "sampler": self.spec.sampler, "rule": self.spec.rule.sentence()}
        self._log(run, metrics, params)
        self._client.set_tag(run, "mlflow.note.content", self._note(counts))
        for pattern in ARTIFACTS:
            for file in sorted(self.path.glob(pattern)):
                self._client.log_artifact(run, str(file))
        self._client.set_terminated(run)

    def _note(self, counts: dict[str, int]) -> str:
        space = self.spec.whole_space.dimensions
        rows = "\n".join(f"| {name} | {count} |" for name, count in counts.items())
        return (
            f"**Sweep {self.spec.name}**: {', '.join(space)} varied by {self.spec.sampler}.\n\n"
            f"Rule: {self.spec.rule.sentence()}.\n\n| regime | runs |\n|---|---|\n{rows}\n\n"
            "The map is under Artifacts: `map.html` to explore, `map.png`, `map.svg` and `map.pdf` to print."
        )

    def run_name(self, record: RunRecord) -> str:
        """Return what a run is called in lists: its regime first, then what was varied."""
        flat = record.config.to_flat()
        parts = [f"{record.regime_under(self.spec.rule)}:"]
        for name in self.spec.whole_space.dimensions:
            value = flat.get(name)
            shown = f"{value:.3g}" if isinstance(value, float) else str(value)
            parts.append(f"{name.rpartition('.')[2]} {shown}")
        return " ".join(parts)

    def _create(self, name: str, tags: dict[str, str]) -> str:
        tags |= {"sweep": self.spec.name}
        run = self._client.create_run(self._experiment, tags=tags, run_name=name)
        return str(run.info.run_id)

    def _log(self, run: str, metrics: list[Any], params: dict[str, Any]) -> None:
        from mlflow.entities import Param

        listed = [Param(name, json.dumps(v) if isinstance(v, list) else str(v)) for name, v in params.items()]
        first, rest = metrics[:BATCH], metrics[BATCH:]
        self._client.log_batch(run, first, listed)
        for start in range(0, len(rest), BATCH):
            self._client.log_batch(run, rest[start : start + BATCH])

    def _find_experiment(self) -> str:
        found = self._client.get_experiment_by_name(self.spec.name)
        if found is not None:
            if found.lifecycle_stage == "deleted":
                self._client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        location = None
        if self.uri.startswith("sqlite:"):
            location = (self.path.parent / "mlflow-artifacts" / self.spec.name).resolve().as_uri()
        # The tag opens MLflow's view for training runs, not the one for language models.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        return str(self._client.create_experiment(self.spec.name, artifact_location=location, tags=tags))

    def _runs(self, more: str = "") -> Iterator[Run]:
        token, query = None, f"tags.sweep = '{self.spec.name}'{more}"
        while True:
            with _uncollected():
                page = self._client.search_runs([self._experiment], query, max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return


def track(path: Path) -> int:
    """Write all that MLflow lacks of the sweep in folder `path`; return how many runs were written."""
    mirror = Mirror(path)
    written = mirror.write_all(read_records(path))
    mirror.write_sweep()
    return written


def attach(path: Path, run_id: str | None, files: Sequence[Path], place: str | None = None) -> bool:
    """Log files to the run of that identity, or to the sweep's own; say whether MLflow has the run."""
    mirror = Mirror(path)
    found = mirror.find(run_id)
    for file in files if found else ():
        mirror._client.log_artifact(found, str(file), place)
    return found is not None


def offer(path: Path, run_id: str | None, files: Sequence[Path], place: str | None, say: Callable[[str], None]) -> None:
    """Attach files if the sweep in folder `path` is mirrored at all; whatever prevents it is said, never raised."""
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (path.parent / "mlflow.db").exists():
        return
    try:
        if not attach(path, run_id, files, place):
            what = f"run {run_id}" if run_id else f"the sweep {path.name}"
            say(f"MLflow does not have {what} yet: grokmap track {path}")
    except Exception as error:  # MLflow raises its own errors, SQLAlchemy's, requests' and sqlite3's
        say(f"{files[0].name} could not be logged to MLflow: {error}")


def _client(uri: str) -> MlflowClient:
    for name, value in (("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"), ("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")):
        os.environ.setdefault(name, value)
    # A line with each run's address costs a request each.
    for name in ("MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"):
        os.environ.setdefault(name, "true")
    import logging

    from mlflow.tracking import MlflowClient
    from sqlalchemy import Engine, event

    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if uri.startswith("sqlite:///"):
        event.listen(Engine, "connect", _wait_for_no_disk)
        # Readers and the writer do not wait for each other; writes are two to three times as fast.
        with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:
            database.execute("PRAGMA journal_mode=WAL")
    return MlflowClient(tracking_uri=uri)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python from looking for garbage meanwhile: among a page's many objects that takes most of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _wait_for_no_disk(connection: Any, _: object) -> None:
    """Let commits return before the disk has them: a power cut costs the last ones, which are written again."""
    # Only with write-ahead logging does the database stay whole all the same.
    if isinstance(connection, sqlite3.Connection) and connection.execute("PRAGMA journal_mode").fetchone() == ("wal",):
        connection.execute("PRAGMA synchronous=NORMAL")


def _tags(record: RunRecord, spec: SweepSpec) -> dict[str, str]:
    row = record.row(spec.rule)
    milestones = {name: value for name, value in row.items() if name.startswith("t_")}
    tags = {
        "run_id": record.run_id,
        "kind": "run",
        "regime": row["regime"],
        "outcome": row["outcome"],
        "milestones": json.dumps(milestones),
    }
    note = f"{row['regime']}: {record.outcome.sentence}"
    return {**tags, **({"reason": record.reason} if record.reason else {}), "mlflow.note.content": note}


def _metrics(record: RunRecord, spec: SweepSpec) -> list[Any]:
    from mlflow.entities import Metric

    threshold = spec.rule.threshold
    metrics = []
    if len(record.columns["step"]):
        for name, split in (("t_mem", "train"), ("t_gen", "val")):
            milestone = record.milestone(split, threshold)  # type: ignore[arg-type]
            metrics.append(Metric(name, float(milestone.step), milestone.step, 0))
            metrics.append(Metric(f"{name}_event", float(milestone.event), milestone.step, 0))
    steps = record.columns["step"]
    for name, values in record.columns.items():
        if name == "step":
            continue
        for i in thinned(steps, values):
            metrics.append(Metric(name, float(values[i]), int(steps[i]), int(steps[i])))
    return metrics


def thinned(steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return indices of at most `POINTS` finite values, evenly spread over log steps, the first and last among them."""
    finite = np.flatnonzero(np.isfinite(values))
    if len(finite) <= POINTS:
        return finite
    marks = np.log10(steps[finite] + 1.0)
    wanted = np.linspace(marks[0], marks[-1], POINTS)
    nearest = np.abs(marks[None, :] - wanted[:, None]).argmin(axis=1)
    return np.asarray(finite[np.unique(nearest)])
