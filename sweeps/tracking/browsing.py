"""Addresses of MLflow's pages that land on runs, and a server of its own to show them.

MLflow 3 opens an experiment on a page of traces, which training runs have none of; only with ``workflowType`` in the
address is the list of runs there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from grokcore.errors import ConfigError, DataError
from sweeps.tracking.database import database_file, quiet, shown, tracking_uri

if TYPE_CHECKING:
    from analysis.runs.sources import Source

LOOPBACK: Final = "127.0.0.1"
"""The only address served at: whoever can reach MLflow can read, and delete, all of it."""
PORT: Final = 5000
"""MLflow's own port."""
READY_SECONDS: Final = 120.0
"""How long a server may take to answer."""


def runs_page(server: str, experiment: str) -> str:
    """Return the address of an experiment's runs on a server of MLflow's: the sweep's own first, then by time."""
    return f"{server.rstrip('/')}/{found_runs(experiment)}&orderByKey=attributes.start_time&orderByAsc=true"


def found_runs(experiment: str, search: str = "") -> str:
    """Return an experiment's list of runs, those that a search finds, as a place on a server of MLflow's."""
    query = f"&searchFilter={quote(search)}" if search else ""
    return f"#/experiments/{experiment}/runs?workflowType=machine_learning{query}"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Where MLflow shows the sweep in a folder."""

    server: str
    """Address of the server."""
    experiment: str
    """Identity of the sweep's experiment; empty where that is not known."""
    command: str
    """Command that serves a database at that address; empty where a server has it."""

    @classmethod
    def of(cls, path: Path) -> Shown:
        """Find it: on the server that is configured, or as `grokmap ui` serves a database unless told otherwise."""
        uri = tracking_uri(path.parent)
        served = uri.startswith(("http://", "https://"))
        in_results = path.parent.resolve() == Path("results").resolve()
        try:
            experiment = experiments(uri).get(_name(path), "")
        except DataError:
            # What is wrong with MLflow is said where it is written to.
            experiment = ""
        return cls(
            server=shown(uri).rstrip("/") if served else f"http://{LOOPBACK}:{PORT}",
            experiment=experiment,
            command="" if served else f"grokmap ui {shlex.quote(path.name if in_results else str(path))}",
        )

    @property
    def page(self) -> str:
        """Return the address of its runs."""
        return runs_page(self.server, self.experiment) if self.experiment else self.server


def _name(path: Path) -> str:
    """Return the name of the sweep in a folder, which a copy of the folder need not have; Optuna is not imported."""
    try:
        return str(tomllib.loads((path / "spec.toml").read_text(encoding="utf-8"))["name"])
    except (OSError, KeyError, ValueError):
        return path.name


def with_tracker(source: Source, path: Path) -> Source:
    """Return the runs of the sweep in a folder with the address at which MLflow shows them, if it has them."""
    found = Shown.of(path)
    if not found.experiment:
        return source
    search = f"{found.server}/{found_runs(found.experiment)}&searchFilter="
    return dataclasses.replace(source, tracker=search, served_by=found.command)


def experiments(uri: str) -> Mapping[str, str]:
    """Return the identity of every experiment that MLflow at `uri` has, by name, the newest first.

    Raises `DataError` where there is no database, or MLflow cannot be asked.
    """
    file = database_file(uri)
    if file is not None:
        return _in_file(file)
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    quiet()
    try:
        found = MlflowClient(tracking_uri=uri).search_experiments()
    except MlflowException as error:
        raise DataError(f"MLflow at {shown(uri)} could not be read: {error}") from error
    return {one.name: one.experiment_id for one in found if one.name != "Default"}


def _in_file(file: Path) -> Mapping[str, str]:
    """Read the experiments of a database in a file: importing MLflow for it would take longer than all else at an end.

    Asking MLflow would also make an empty database where there is none.
    """
    if not file.is_file():
        raise DataError(f"{file} is not there: no sweep has been mirrored yet. `grokmap track NAME` writes one.")
    query = """
        SELECT name, experiment_id FROM experiments WHERE lifecycle_stage = 'active' AND name <> 'Default'
        ORDER BY creation_time DESC, experiment_id DESC
    """
    try:
        with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return {name: str(identity) for name, identity in database.execute(query)}
    except sqlite3.Error as error:
        raise DataError(f"MLflow's database {file} could not be read: {error}.") from error


def check_port(port: int) -> None:
    """Raise `ConfigError` where another process has the port, or none may have it."""
    with socket.socket() as probe:
        # A server that has just ended leaves its connections behind for a minute; they are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            why = "is in use" if error.errno == errno.EADDRINUSE else "may not be used"
            other = port + 1 if 1024 <= port < 65535 else PORT
            raise ConfigError([f"--port {port}: the port {why}; give another, as --port {other}."]) from None


def serve(uri: str, port: int, ready: Callable[[str], None]) -> int:
    """Show what is at `uri` with MLflow's own server on a port of this machine until it is ended; return its exit code.

    `ready` is told the server's address once it answers. Ctrl-C ends the server too.
    """
    check_port(port)
    # What MLflow does for language models in the background needs workers of its own, which training runs do not.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-m", "mlflow", "ui", "--host", LOOPBACK, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", uri, "--allowed-hosts", f"localhost:*,{LOOPBACK}:*"]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    server = f"http://{LOOPBACK}:{port}"
    handler = signal.signal(signal.SIGTERM, _interrupt)
    try:
        if _answers(server, process):
            ready(server)
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, handler)
        _end(process)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _answers(server: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the server answers; return whether it does."""
    deadline = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{server}/health", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server with the workers it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
