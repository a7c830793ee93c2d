"""A database is made whole or not at all; what MLflow cannot write is said in one sentence, and at once."""

import multiprocessing
import shutil
import socket
import sqlite3
import subprocess
import sys
import time

import psutil
import pytest

from sweeps.tracking.database import database_file, shown, tracking_uri
from sweeps.tracking.mlflow_mirror import Mirror, sole_writer, track
from sweeps.tracking.trouble import TrackingBusyError, TrackingError

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


def one_sentence(path, match):
    """Assert that `track` refuses within seconds, in one line."""
    begun = time.monotonic()
    with pytest.raises(TrackingError, match=match) as caught:
        track(path)
    assert time.monotonic() - begun < 10
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("folder", ["plain", "what?", "number #1", "100%20", "a b"])
def test_a_database_lies_where_its_results_are(swept, tmp_path, folder, runs_of):
    path = shutil.copytree(swept.path, tmp_path / "other" / folder / swept.path.name)
    assert track(path) == 5
    assert database_file(tracking_uri(path.parent)) == path.parent / "mlflow.db"
    with sqlite3.connect(path.parent / "mlflow.db") as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (6,)
    assert len(runs_of(path)) == 6
    assert [found.name for found in (tmp_path / "other").iterdir()] == [folder]


@pytest.mark.usefixtures("fresh")
def test_a_database_whose_making_is_cut_off_is_not_there(swept, monkeypatch, tmp_path):
    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mlflow.store.db.utils._upgrade_db", die)
        with pytest.raises(KeyboardInterrupt):
            track(swept.path)
    assert not (tmp_path / "mlflow.db").exists()
    assert track(swept.path) == 5


@pytest.mark.parametrize("runs", [False, True])
def test_a_database_that_others_left_half_made_is_named_with_its_remedy(swept, tmp_path, runs):
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("CREATE TABLE runs (run_uuid TEXT)")
        for table in ("experiments", "tags", "params", "metrics", "latest_metrics") if runs else ():
            connection.execute(f"CREATE TABLE {table} (run_uuid TEXT)")
        if runs:
            connection.execute("INSERT INTO runs VALUES ('x')")
    error = one_sentence(swept.path, "left half-made")
    command = str(error).rpartition(": ")[2]
    subprocess.run(command, shell=True, check=True)
    assert track(swept.path) == 5


def test_a_database_of_another_mlflow_is_upgraded_by_the_command_that_is_named(swept, tmp_path):
    track(swept.path)
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    one_sentence(swept.path, "another version of MLflow.*mlflow db upgrade")


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda file: file.write_bytes(b"no database at all" * 100), "is not a database"),
        (lambda file: file.mkdir(), "cannot be used"),
        (lambda file: file.symlink_to("/nowhere/at/all.db"), "cannot be used"),
    ],
    ids=["damaged", "a folder", "a link to nowhere"],
)
def test_a_file_that_is_no_database_is_named(swept, tmp_path, make, match):
    make(tmp_path / "mlflow.db")
    one_sentence(swept.path, match)


@pytest.mark.parametrize(
    ("uri", "match"),
    [
        ("http://127.0.0.1:9", "no MLflow answers at http://127.0.0.1:9 .*refused"),
        ("http://me:secret@nowhere.invalid:5000", r"no MLflow answers at http://me:\*\*\*@nowhere"),
        ("nonsense://x", "could not be written"),
        ("postgresql+nodriver://h/db", "cannot be opened"),
    ],
)
def test_an_address_where_nothing_is_is_told_at_once(swept, monkeypatch, uri, match):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert "secret" not in str(one_sentence(swept.path, match))


def test_what_can_never_succeed_is_not_waited_for_at_the_end(swept, tmp_path):
    import threading

    from sweeps.tracking.mlflow_follower import follow

    (tmp_path / "mlflow.db").write_bytes(b"no database at all" * 100)
    over = threading.Event()
    over.set()
    begun = time.monotonic()
    with pytest.raises(TrackingError, match="is not a database"):
        follow(swept.path, over)
    assert time.monotonic() - begun < 5


def test_passwords_are_not_shown():
    assert shown("postgresql://a:b@h/d") == "postgresql://a:***@h/d"
    assert shown("http://h:5000") == "http://h:5000"


def tracked(path, results):
    try:
        results.put(track(path))
    except TrackingBusyError:
        results.put("busy")


def test_of_two_that_track_a_fresh_database_at_once_one_writes(swept, runs_of):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    both = [context.Process(target=tracked, args=(swept.path, results)) for _ in range(2)]
    for process in both:
        process.start()
    found = {results.get(timeout=120) for _ in both}
    for process in both:
        process.join()
    assert found in ({5, "busy"}, {5, 0})
    assert len(runs_of(swept.path)) == 6


def test_beside_its_own_writer_a_sweep_is_not_tracked(swept):
    with sole_writer(swept.path):
        one_sentence(swept.path, "being written to MLflow by another process")
    assert track(swept.path) == 5


def test_a_writer_whose_driver_is_killed_ends_and_the_next_one_writes_the_rest(swept, runs_of):
    driver = (
        "import sys, time; from pathlib import Path; from sweeps.tracking.follower_process import MirrorProcess;"
        "follower = MirrorProcess(Path(sys.argv[1])); print(follower._process.pid, flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", driver, swept.path], stdout=subprocess.PIPE, text=True)
    follower = int(process.stdout.readline())
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with sole_writer(swept.path):
                pass
            time.sleep(0.3)
        except TrackingBusyError:
            break
    process.kill()
    process.communicate()
    while psutil.pid_exists(follower) and psutil.Process(follower).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the writer outlived its driver"
        time.sleep(0.05)
    track(swept.path)
    assert len(runs_of(swept.path)) == 6
    assert Mirror(swept.path)._there.superfluous == []


def test_a_port_that_answers_something_else_is_told(swept, monkeypatch):
    import threading

    with socket.create_server(("127.0.0.1", 0)) as there:

        def hang_up():
            while True:
                try:
                    there.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=hang_up, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{there.getsockname()[1]}")
        one_sentence(swept.path, "no MLflow answers")
