"""The head's own PostgreSQL: it starts, is found again with what was written, and listens on no network."""

import os
import shutil
import tempfile
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

from cluster.services import run_database

pytestmark = pytest.mark.postgres


@pytest.fixture
def folder(monkeypatch):
    """Give a folder that the user postgres can enter, which pytest's own are not; end what serves it."""
    path = Path(tempfile.mkdtemp(prefix="grokmap-postgres-"))
    path.chmod(0o755)
    servers = []
    until_ready = run_database._until_ready
    monkeypatch.setattr(run_database, "_until_ready", lambda *words: servers.append(until_ready(*words)))
    monkeypatch.setattr(run_database, "postgres_folder", lambda: path / "database")
    monkeypatch.setattr(run_database, "server_folder", lambda: path / "server")
    monkeypatch.delenv(run_database.STORE_VARIABLE, raising=False)
    yield path, servers
    for server in servers:
        server.terminate()
        server.wait(30)
    shutil.rmtree(path)


def test_the_database_starts_and_goes_on_with_what_was_written(folder):
    path, servers = folder
    address = run_database.prepare_store()
    assert address == f"postgresql+psycopg2://grokmap@/mlflow?host={path}/database/socket"
    engine = create_engine(address)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE kept (value integer)"))
        connection.execute(text("INSERT INTO kept VALUES (7)"))
    engine.dispose()
    servers[0].terminate()
    servers[0].wait(30)
    assert run_database.prepare_store() == address
    with engine.begin() as connection:
        assert connection.execute(text("SELECT value FROM kept")).scalar_one() == 7
    engine.dispose()
    assert (path / "database").stat().st_mode & 0o077 == 0
    process = psutil.Process(servers[1].pid)
    assert process.uids().real != 0 or os.geteuid() != 0
    assert [one for one in process.net_connections(kind="inet") if one.status == psutil.CONN_LISTEN] == []
