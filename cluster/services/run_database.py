"""Where the head's MLflow server keeps its runs: PostgreSQL where it is installed, SQLite otherwise.

The PostgreSQL server is the cluster's own. It listens on no network: its one entrance is a socket in a folder that only
its user may enter.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

from grokcore.errors import GrokmapError

STORE_VARIABLE = "GROKMAP_MLFLOW_STORE"
"""Names a database of your own, as SQLAlchemy writes it; wins over everything found."""

START_SECONDS = 60.0
"""How long the database may take to answer."""


def server_folder() -> Path:
    """Return the folder that holds the server's database, artifacts and log."""
    return Path.home() / "results" / "mlflow-server"


def artifact_folder() -> Path:
    """Return the folder that holds what is uploaded; only the server writes there."""
    return server_folder() / "artifacts"


def prepare_store() -> str:
    """Make the database ready, starting PostgreSQL as a child of this process if it is that, and return its address."""
    artifact_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    if named := os.environ.get(STORE_VARIABLE):
        return named
    # What was begun in one database goes on in it.
    if (server_folder() / "mlflow.db").exists() or postgres_programs() is None:
        return _sqlite()
    return _postgres()


def postgres_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, newest version first, if it can be used from here."""
    if importlib.util.find_spec("psycopg2") is None:
        return None
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]), reverse=True)
    found = [str(path) for path in versions] + [path for path in (shutil.which("initdb"),) if path]
    return Path(found[0]).resolve().parent if found else None


def postgres_folder() -> Path:
    """Return the folder of the database; root's own home is closed to the user that PostgreSQL must run as."""
    return Path("/var/lib/grokmap-postgres") if os.geteuid() == 0 else server_folder() / "postgres"


def _postgres() -> str:
    programs, folder = postgres_programs(), postgres_folder()
    data, socket_folder = folder / "data", folder / "socket"
    # PostgreSQL refuses to run as root.
    as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.geteuid() == 0 else []
    for path in (folder, socket_folder):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
        if as_user:
            shutil.chown(path, "postgres", "postgres")
    if not (data / "PG_VERSION").exists():
        # Whoever can enter the socket's folder is trusted: that is its user, and root.
        _run(
            [
                *as_user,
                f"{programs}/initdb",
                "--auth=trust",
                "--username=grokmap",
                "--encoding=UTF8",
                f"--pgdata={data}",
            ]
        )
    network = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={socket_folder}"]
    client = ["--host", str(socket_folder), "--username", "grokmap"]
    _until_ready([*as_user, f"{programs}/postgres", "-D", str(data), *network], [f"{programs}/pg_isready", *client])
    listed = _run([f"{programs}/psql", *client, "--dbname=postgres", "-Atc", "SELECT datname FROM pg_database"])
    if "mlflow" not in listed.split():
        _run([f"{programs}/createdb", *client, "mlflow"])
    return f"postgresql+psycopg2://grokmap@/mlflow?host={socket_folder}"


def _until_ready(start: list[str], ask: list[str]) -> subprocess.Popen[bytes]:
    """Start a server and wait until it answers; again if it ends, as it does while the one before it is ending."""
    server = subprocess.Popen(start, stdin=subprocess.DEVNULL)
    end = time.monotonic() + START_SECONDS
    while subprocess.run(ask, stdout=subprocess.DEVNULL, check=False).returncode:
        if time.monotonic() > end:
            raise GrokmapError(f"{start[0]} did not start within {START_SECONDS:g} s; its messages are above.")
        time.sleep(0.1)
        if server.poll() is not None:
            time.sleep(0.5)
            server = subprocess.Popen(start, stdin=subprocess.DEVNULL)
    return server


def _run(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GrokmapError(f"{words[-1]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _sqlite() -> str:
    path = server_folder() / "mlflow.db"
    # Write-ahead logging is a property of the file: set once, readers no longer stop the writer.
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode=WAL")
    database.close()
    return f"sqlite:///{path}"
