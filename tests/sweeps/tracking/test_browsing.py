"""Where a sweep's runs are to be seen in MLflow, and what stands in the way of serving it."""

import re
import socket
import subprocess
import sys

import pandas as pd
import pytest

from analysis.runs.sources import Source
from grokcore.errors import ConfigError, DataError
from sweeps.cli.browsing import ui, where_to_browse
from sweeps.tracking import browsing
from sweeps.tracking.database import tracking_uri
from sweeps.tracking.mlflow_mirror import track

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


def test_a_sweep_has_the_address_of_its_experiment(swept):
    track(swept.path)
    (experiment,) = browsing.experiments(tracking_uri(swept.path.parent)).values()
    told = where_to_browse(swept.path)
    assert told.startswith("grokmap ui ")
    address = f"http://127.0.0.1:5000/#/experiments/{experiment}/runs?workflowType=machine_learning"
    assert told.endswith(f"{address}&orderByKey=attributes.start_time&orderByAsc=true")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port {port}: the port is in use; give another"):
            ui(swept.path, port=port, results=swept.path.parent)


def test_a_map_knows_where_its_runs_are_shown_if_they_are(swept, monkeypatch):
    source = Source(name="x", frame=pd.DataFrame(), curves=None, spec={}, path=swept.path)
    assert browsing.with_tracker(source, swept.path) == source
    track(swept.path)
    found = browsing.with_tracker(source, swept.path)
    assert re.fullmatch(
        r"http://127\.0\.0\.1:5000/#/experiments/\d+/runs\?workflowType=machine_learning&searchFilter=", found.tracker
    )
    assert found.served_by == f"grokmap ui {swept.path}"
    # A server is there without a command, and what is secret in its address stays out of the page.
    monkeypatch.setattr(browsing, "experiments", lambda _: {swept.path.name: "7"})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@host/mlflow/")
    found = browsing.with_tracker(source, swept.path)
    assert found.tracker.startswith("https://me:***@host/mlflow/#/experiments/7/runs?")
    assert not found.served_by


def test_a_sweep_that_is_not_mirrored_is_said_with_the_command_that_does_it(swept):
    with pytest.raises(DataError, match="no sweep has been mirrored yet"):
        ui(swept.path, port=5000, results=swept.path.parent)
    assert "http://127.0.0.1:5000" in where_to_browse(swept.path)
    track(swept.path)
    with pytest.raises(DataError, match=re.escape("grokmap track another")):
        ui(swept.path.with_name("another"), port=5000, results=swept.path.parent)


def test_where_to_browse_is_read_without_mlflow_and_a_sweep_begins_without_what_it_may_not_need(swept):
    track(swept.path)
    code = f"""
import sys
from pathlib import Path
import sweeps.whole_sweep
from sweeps.cli.browsing import where_to_browse
print(where_to_browse(Path({str(swept.path)!r})))
slow = {{"torch", "mlflow", "sqlalchemy", "pandas", "optuna", "ray"}} & set(sys.modules)
assert not slow, slow
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert re.search(r"/#/experiments/\d+/runs", told.stdout)


def test_experiments_are_those_that_mlflow_lists_and_a_damaged_database_is_said(swept, client):
    track(swept.path)
    uri = tracking_uri(swept.path.parent)
    api = client(swept.path)
    api.create_experiment("another, not ours")
    api.delete_experiment(api.create_experiment("thrown away"))
    listed = [one.name for one in api.search_experiments() if one.name != "Default"]
    assert list(browsing.experiments(uri)) == listed
    (swept.path.parent / "mlflow.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(DataError, match=r"mlflow\.db could not be read"):
        browsing.experiments(uri)
