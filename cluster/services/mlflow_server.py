"""Head services: the MLflow server of a cluster, started, watched and ended with the head's Ray.

``python -m cluster.services start`` returns when the server answers, or says why it does not. A small supervisor
starts it again when it dies and ends it when Ray has been gone for two minutes, so that `ray down` needs no help.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cluster.launch import recipe
from cluster.services.password import make_secrets, read_secrets, server_environment
from cluster.services.run_database import artifact_folder, prepare_store, server_folder
from grokcore.errors import GrokmapError

START_LIMIT = 120.0
"""Seconds a server gets to answer; its first start makes the database's tables."""
POLL = 2.0
"""Seconds between the supervisor's looks at the server and at Ray."""
FAREWELL = 120.0
"""Seconds without Ray after which the supervisor ends the server; a restart of the head takes less."""

FAREWELLS = ((signal.SIGTERM, 5.0), (signal.SIGINT, 20.0), (signal.SIGKILL, 5.0))
"""What server and database are told, one after the other, and the seconds each gets.

To PostgreSQL SIGTERM means: when the last client has left. SIGINT sends the clients away, and hurries the server.
"""


class ServiceError(GrokmapError):
    """A service of the head does not start or does not answer."""


def healthy(port: int = recipe.MLFLOW_PORT, timeout: float = 2.0) -> bool:
    """Say whether an MLflow server answers on this host's loopback."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=timeout) as answer:
            return bool(answer.read(8).strip() == b"OK")
    except (urllib.error.URLError, OSError, ValueError):
        return False


def server_command(store: str, port: int = recipe.MLFLOW_PORT) -> list[str]:
    """Return the words that start the server: on loopback, for requests that name it so, artifacts through it alone."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(artifact_folder()), "--serve-artifacts"]
    command += ["--app-name", "basic-auth"] if read_secrets() else []
    return [*command, "--workers", "1", "--allowed-hosts", "localhost:*,127.0.0.1:*"]


def _state() -> Path:
    return server_folder() / "supervisor.json"


def _log() -> Path:
    return server_folder() / "server.log"


def _birth(pid: int) -> str | None:
    """Return when a process began, in the kernel's own ticks, or None if it is gone: numbers are used again."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def supervisor() -> int | None:
    """Return the process id of the running supervisor, if there is one."""
    try:
        state = json.loads(_state().read_text(encoding="utf-8"))
        pid, birth = int(state["pid"]), str(state["birth"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if _birth(pid) == birth else None


def start() -> str:
    """Start the server unless it runs, wait until it answers, and return one line about it."""
    server_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    if supervisor() is None:
        if healthy(timeout=1.0) or _listening("127.0.0.1", recipe.MLFLOW_PORT):
            raise ServiceError(
                f"port {recipe.MLFLOW_PORT} of this host is taken by another program. End it, or change MLFLOW_PORT "
                "in cluster/launch/recipe.py and render the launch files again."
            )
        with _log().open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "cluster.services", "supervise"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _state().write_text(json.dumps({"pid": process.pid, "birth": _birth(process.pid)}), encoding="utf-8")
    end = time.monotonic() + START_LIMIT
    while time.monotonic() < end:
        if healthy():
            return f"MLflow answers on http://127.0.0.1:{recipe.MLFLOW_PORT}, kept in {server_folder()}"
        if supervisor() is None:
            break
        time.sleep(0.2)
    tail = "\n".join(_log().read_text(errors="replace").splitlines()[-15:])
    raise ServiceError(f"the MLflow server does not answer; the end of {_log()}:\n{tail}")


def stop() -> str:
    """End the supervisor, its server and its database, and return one line about it once they are gone."""
    pid = supervisor()
    if pid is None:
        return "no MLflow server of ours runs here"
    for word, patience in FAREWELLS:
        with suppress(ProcessLookupError):
            os.killpg(pid, word)
        end = time.monotonic() + patience
        while _group_lives(pid) and time.monotonic() < end:
            time.sleep(0.1)
    return "MLflow server ended"


def _group_lives(group: int) -> bool:
    """Say whether a process of a group still runs; those that wait for their parent to look do not."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] != "Z":
                return True
    return False


def lock() -> str:
    """Put the server behind a password and start it again; return where the password lies."""
    path = make_secrets()
    stop()
    start()
    return f"MLflow asks for a password now: user and password are in {path}"


def _listening(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


def _ray_runs() -> bool:
    """Say whether Ray's control store answers on this host."""
    return any(_listening(host, recipe.GCS_PORT) for host in ("127.0.0.1", _own_address()))


def _own_address() -> str:
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def supervise() -> None:
    """Run the server, again whenever it dies, until Ray has been gone for `FAREWELL` seconds."""
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment = {name: value for name, value in environment.items() if not name.startswith("MLFLOW_TRACKING_")}
    environment |= server_environment()
    store = prepare_store()
    last_seen, pause = time.monotonic(), 1.0
    while True:
        process = subprocess.Popen(server_command(store), env=environment, stdin=subprocess.DEVNULL)
        born = time.monotonic()
        while process.poll() is None:
            time.sleep(POLL)
            last_seen = time.monotonic() if _ray_runs() else last_seen
            if time.monotonic() - last_seen > FAREWELL:
                os.killpg(os.getpgid(0), signal.SIGTERM)
        # A server that dies young is not hammered.
        pause = 1.0 if time.monotonic() - born > 60 else min(2 * pause, 30.0)
        print(f"server ended with {process.returncode}; again in {pause:g} s", flush=True)
        time.sleep(pause)


def main(words: Sequence[str]) -> int:
    """Run one of start, stop, status, lock, supervise."""
    actions = {"start": start, "stop": stop, "lock": lock}
    try:
        if list(words) == ["supervise"]:
            supervise()
        elif list(words) == ["status"]:
            print("answers" if healthy() else "does not answer")
            return 0 if healthy() else 1
        elif len(words) == 1 and words[0] in actions:
            print(actions[words[0]]())
        else:
            print("usage: python -m cluster.services start|stop|status|lock")
            return 2
    except GrokmapError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
