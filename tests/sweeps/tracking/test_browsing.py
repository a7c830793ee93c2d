"""Where a sweep's runs are to be seen in MLflow, and what stands in the way of serving it."""

import re
import socket

import pytest

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
    assert told.endswith(f"http://127.0.0.1:5000/#/experiments/{experiment}/runs?workflowType=machine_learning")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port {port}: the port is in use; give another"):
            ui(swept.path, port=port, results=swept.path.parent)


def test_a_sweep_that_is_not_mirrored_is_said_with_the_command_that_does_it(swept):
    with pytest.raises(DataError, match="no sweep has been mirrored yet"):
        ui(swept.path, port=5000, results=swept.path.parent)
    assert "http://127.0.0.1:5000" in where_to_browse(swept.path)
    track(swept.path)
    with pytest.raises(DataError, match=re.escape("grokmap track another")):
        ui(swept.path.with_name("another"), port=5000, results=swept.path.parent)
