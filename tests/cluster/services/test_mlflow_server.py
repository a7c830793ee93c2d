"""The head's tracking server: on loopback, for requests that name it so, behind a password when locked."""

import base64
import json
import os
import signal
import socket
import stat
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from cluster.launch import recipe
from cluster.services import mlflow_server, password, run_database


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run_database.artifact_folder().mkdir(parents=True)
    return tmp_path


def test_the_server_is_told_to_listen_on_loopback_and_to_answer_no_other_name(home):
    words = mlflow_server.server_command("sqlite:///x.db")
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert words[words.index("--allowed-hosts") + 1] == "localhost:*,127.0.0.1:*"
    assert words[words.index("--artifacts-destination") + 1] == str(home / "results/mlflow-server/artifacts")
    assert "--app-name" not in words


def test_a_named_database_wins_and_what_was_begun_in_sqlite_goes_on_there(home, monkeypatch):
    monkeypatch.setenv(run_database.STORE_VARIABLE, "postgresql+psycopg2://somewhere/else")
    assert run_database.prepare_store() == "postgresql+psycopg2://somewhere/else"
    monkeypatch.delenv(run_database.STORE_VARIABLE)
    (home / "results/mlflow-server/mlflow.db").touch()
    assert run_database.prepare_store() == f"sqlite:///{home}/results/mlflow-server/mlflow.db"


@pytest.mark.usefixtures("home")
def test_secrets_are_made_once_and_only_their_owner_reads_them():
    path = password.make_secrets()
    first = password.read_secrets()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(first["MLFLOW_TRACKING_PASSWORD"]) >= 32
    assert password.make_secrets() == path
    assert password.read_secrets() == first
    assert "--app-name" in mlflow_server.server_command("sqlite:///x.db")


def test_a_process_that_has_our_number_but_is_not_ours_is_not_taken_for_the_supervisor(home):
    state = home / "results/mlflow-server/supervisor.json"
    assert mlflow_server.supervisor() is None
    state.write_text(json.dumps({"pid": os.getpid(), "birth": "1"}))
    assert mlflow_server.supervisor() is None
    state.write_text(json.dumps({"pid": os.getpid(), "birth": mlflow_server._birth(os.getpid())}))
    assert mlflow_server.supervisor() == os.getpid()
    for damage in ("", "[]", "{}", '{"pid": "x", "birth": 1}', "\x00"):
        state.write_text(damage)
        assert mlflow_server.supervisor() is None


@pytest.mark.usefixtures("home")
def test_a_taken_port_is_named(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(recipe, "MLFLOW_PORT", other.getsockname()[1])
        with pytest.raises(mlflow_server.ServiceError, match=r"port \d+ of this host is taken by another program"):
            mlflow_server.start()


def ask(port, host="127.0.0.1", user=None):
    headers = {"Host": f"{host}:{port}", "Content-Type": "application/json"}
    if user:
        headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
    url = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search"
    try:
        request = urllib.request.Request(url, b'{"max_results": 10}', headers)
        return urllib.request.urlopen(request, timeout=20).status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@pytest.mark.slow
def test_a_locked_server_answers_its_user_alone_and_no_foreign_name(home):
    password.make_secrets()
    known = password.read_secrets()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | password.server_environment()
    command = mlflow_server.server_command(f"sqlite:///{home}/m.db", port)
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        end = time.monotonic() + 120
        while not mlflow_server.healthy(port):
            assert server.poll() is None, (home / "log").read_text()[-2000:]
            assert time.monotonic() < end
            time.sleep(0.3)
        user = f"{password.USER}:{known['MLFLOW_TRACKING_PASSWORD']}"
        assert ask(port) == 401
        assert ask(port, user=f"{password.USER}:password") == 401
        assert ask(port, user=user) == 200
        assert ask(port, host="evil.example", user=user) == 403
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def test_a_database_that_ends_because_the_one_before_is_still_ending_is_started_again(tmp_path):
    tries = tmp_path / "tries"
    # Ends at once the first time, as PostgreSQL does that finds another's lock; serves the second time.
    start = ["sh", "-c", f"echo x >> {tries}; [ $(wc -l < {tries}) -ge 2 ] && touch {tmp_path}/up && exec sleep 3"]
    server = run_database._until_ready(start, ["test", "-e", str(tmp_path / "up")])
    server.kill()
    server.wait()
    assert tries.read_text().count("x") == 2


@pytest.mark.parametrize("deaf", ["TERM", "TERM INT"])
def test_stopping_returns_when_the_database_is_gone_too_however_long_its_clients_stay(home, deaf, monkeypatch):
    words = zip(mlflow_server.FAREWELLS, (0.5, 0.5, 5), strict=True)
    monkeypatch.setattr(mlflow_server, "FAREWELLS", tuple((word, patience) for (word, _), patience in words))
    # The database outlives its supervisor: it waits for its clients, as PostgreSQL does after SIGTERM.
    database = f"trap '' {deaf}; touch {home}/up; while :; do sleep .05; done"
    script = f"({database}) & trap - TERM; wait"
    process = subprocess.Popen(["bash", "-c", script], start_new_session=True)
    end = time.monotonic() + 30
    while not (home / "up").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    state = home / "results/mlflow-server/supervisor.json"
    state.write_text(json.dumps({"pid": process.pid, "birth": mlflow_server._birth(process.pid)}))
    # Something must take the dead away, as the first process of a host does.
    process.poll()
    mlflow_server.stop()
    process.wait(10)
    assert not mlflow_server._group_lives(process.pid)
