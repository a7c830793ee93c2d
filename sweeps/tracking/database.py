"""Where runs are mirrored, and whether MLflow can write there: asked before MLflow itself, which retries for minutes.

A database in a file is made by one process at a time, beside its place, and moved there whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import shlex
import sqlite3
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from grokcore.atomic_files import replacing
from sweeps.tracking.trouble import PassingTrackingError, TrackingError, first_sentence

SQLITE: Final = "sqlite:///"
"""How the address of a database in a file begins."""

ANSWER_SECONDS: Final = 5.0
"""How long a server is given to answer at all."""


def tracking_uri(results: Path) -> str:
    """Return where runs are mirrored: MLFLOW_TRACKING_URI, or mlflow.db in the folder of all results."""
    return os.environ.get("MLFLOW_TRACKING_URI") or file_uri(results.resolve() / "mlflow.db")


def file_uri(path: Path) -> str:
    """Return the address of a database in a file; what means something in an address is escaped in it."""
    return SQLITE + str(path.absolute()).replace("%", "%25").replace("?", "%3F")


def database_file(uri: str) -> Path | None:
    """Return the file of a database at that address; None for a server's."""
    if not uri.startswith(SQLITE):
        return None
    return Path(urllib.parse.unquote(uri.removeprefix(SQLITE).partition("?")[0]))


def shown(uri: str) -> str:
    """Return an address without the password that may be in it."""
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:***@", uri)


def make_ready(uri: str) -> None:
    """Make a database in a file that is not there; raise `TrackingError` if MLflow cannot write at that address."""
    quiet()
    file = database_file(uri)
    if file is not None:
        with _readable_errors(file), _one_at_a_time(file):
            if not file.exists() or not file.stat().st_size:
                _make(file)
            _check(file, uri)
    elif uri.startswith(("http://", "https://")):
        _ask_server(uri)
    elif uri.startswith(("postgresql", "mysql", "mssql")):
        _ask_database(uri)


def quiet() -> None:
    """Keep MLflow from retrying for minutes, from printing each run's address and from asking home."""
    for name, value in (("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"), ("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")):
        os.environ.setdefault(name, value)
    for name in ("MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"):
        os.environ.setdefault(name, "true")
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextlib.contextmanager
def _readable_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or first_sentence(error)
        raise TrackingError(
            f"MLflow's database {file} cannot be used: {reason}. Mend that, or name another one in MLFLOW_TRACKING_URI."
        ) from None


@contextlib.contextmanager
def _one_at_a_time(file: Path) -> Iterator[None]:
    """Hold a lock beside the database that dies with its owner; others wait for the seconds that making one takes."""
    if file.is_symlink() and not file.exists():
        raise FileNotFoundError(2, "it is a link to nothing")
    if file.exists() and not os.access(file.parent, os.W_OK):
        raise PermissionError(13, "its folder cannot be written")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f".{file.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(file: Path) -> None:
    """Make a database with all of MLflow's tables, elsewhere first: it takes seconds, and may be killed meanwhile."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with tempfile.TemporaryDirectory(prefix="grokmap-mlflow-") as folder:
        made = Path(folder) / "mlflow.db"
        make: Any = SqlAlchemyStore
        store = make(f"{SQLITE}{made}", (Path(folder) / "artifacts").as_uri())
        store.engine.dispose()
        with contextlib.closing(sqlite3.connect(made)) as database:
            # Readers and the writer do not wait for each other; writes are two to three times as fast.
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with replacing(file) as temporary:
            temporary.write_bytes(made.read_bytes())


def _check(file: Path, uri: str) -> None:
    """Raise `TrackingError` unless the file is a whole database of this MLflow that can be written."""
    from mlflow.store.db import utils

    newest: Any = utils._get_latest_schema_revision
    with contextlib.closing(sqlite3.connect(file)) as database:
        tables = {str(name) for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        found = _versions(database, tables)
        # Those who make one begin with runs and end with a version: a half-made one lacks either.
        whole = {"runs", "experiments", "tags", "params", "metrics", "latest_metrics"} <= tables
        has_runs = whole and database.execute("SELECT 1 FROM runs LIMIT 1").fetchone() is not None
        if found == {newest()} and whole:
            database.execute("PRAGMA journal_mode=WAL")
            with database:
                database.execute("BEGIN IMMEDIATE")
            return
    if found and has_runs:
        raise TrackingError(
            f"MLflow's database {file} was made by another version of MLflow. Copy it, then run: "
            f"mlflow db upgrade {shlex.quote(uri)}"
        )
    raise TrackingError(
        f"MLflow's database {file} was left half-made and holds no runs. Delete it, and it is made anew: "
        f"rm {shlex.quote(str(file))}"
        if not has_runs
        else f"MLflow's database {file} was left half-made. Move it away, and it is made anew: "
        f"mv {shlex.quote(str(file))} {shlex.quote(f'{file}.broken')}"
    )


def _versions(database: sqlite3.Connection, tables: set[str]) -> set[str]:
    if "alembic_version" not in tables:
        return set()
    return {str(version) for (version,) in database.execute("SELECT version_num FROM alembic_version")}


def _ask_server(uri: str) -> None:
    """Raise `PassingTrackingError` if nothing answers there: MLflow would try for a minute at every request."""
    try:
        with urllib.request.urlopen(uri, timeout=ANSWER_SECONDS):
            return
    except urllib.error.HTTPError:
        return  # it answers: what it thinks of us, MLflow will say
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        said = getattr(reason, "strerror", None) or str(reason)
        raise PassingTrackingError(
            f"no MLflow answers at {shown(uri)} ({said}): is it running, and is MLFLOW_TRACKING_URI its address?"
        ) from None


def _ask_database(uri: str) -> None:
    """Raise `TrackingError` if a database server cannot be reached, or has no driver here."""
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

    try:
        engine = sqlalchemy.create_engine(uri)
        with engine.connect():
            engine.dispose()
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise TrackingError(
            f"MLFLOW_TRACKING_URI = {shown(uri)!r} cannot be opened: {first_sentence(error)}."
        ) from None
    except DBAPIError as error:
        said = first_sentence(error)
        raise PassingTrackingError(f"no database answers at {shown(uri)}: {said}.") from None


def wait_for_no_disk(connection: Any, _: object) -> None:
    """Let commits return before the disk has them: a power cut costs the last ones, which are written again."""
    # Only with write-ahead logging does the database stay whole all the same.
    if isinstance(connection, sqlite3.Connection) and connection.execute("PRAGMA journal_mode").fetchone() == ("wal",):
        connection.execute("PRAGMA synchronous=NORMAL")
