"""What the tests of the mirror share: a sweep that has run, and what MLflow has of it."""

import pytest

from sweeps.store.run_store import Store
from sweeps.tracking import database
from sweeps.tracking.database import tracking_uri

MAKE = database._make


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Return an empty database of MLflow's, which takes seconds to make."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    database.quiet()
    MAKE(file)
    return file


@pytest.fixture(autouse=True)
def _copied(made, monkeypatch):
    """Copy a database that was made once where a new one is wanted; `fresh` makes each anew."""
    monkeypatch.setattr(database, "_make", lambda file: file.write_bytes(made.read_bytes()))


@pytest.fixture
def fresh(monkeypatch):
    """Make databases as MLflow does."""
    monkeypatch.setattr(database, "_make", MAKE)


@pytest.fixture
def configs(spec):
    space = spec.whole_space
    return [
        space.config({"fraction": 0.3 + 0.05 * i, "optimizer.decay": 0.1, "optimizer.rate": 0.01, "seed": i % 3})
        for i in range(5)
    ]


@pytest.fixture
def swept(spec, configs, pretend, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with Store(spec, tmp_path) as store:
        store.add([pretend(config) for config in configs])
        (store.path / "map.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
        yield store


@pytest.fixture
def client():
    """Return MLflow's client for the sweep in a folder."""

    def of(path):
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=tracking_uri(path.parent))

    return of


@pytest.fixture
def runs_of(client):
    """Return all runs under the name of the sweep in a folder."""

    def of(path):
        api = client(path)
        return api.search_runs([api.get_experiment_by_name(path.name).experiment_id], max_results=1000)

    return of
