"""Any project's experiment in MLflow becomes a run table: made with MLflow's own client, as another project would."""

import numpy as np
import pytest

from analysis.importing.mlflow_experiment import import_experiment
from analysis.runs.sources import read_source
from grokcore.errors import DataError

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's and its dependencies' own
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # MLflow leaves its SQLite connections to the collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
STEPS = [1, 10, 100, 300, 1000, 3000]


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """Log ten runs of another project, and two that are none."""
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("theirs", artifact_location=(folder / "artifacts").as_uri())
    for i, fraction in enumerate(np.linspace(0.2, 0.9, 10)):
        run = client.create_run(experiment).info.run_id
        rises = 1000 if fraction > 0.5 else np.inf
        metrics = [Metric("train/acc", float(step >= 100), 0, step) for step in STEPS]
        metrics += [Metric("test/acc", 0.97 if step >= rises else 0.1, 0, step) for step in STEPS]
        metrics += [Metric("loss", 1.0 / step, 0, step) for step in STEPS]
        params = [
            Param("train_frac", str(fraction)),
            Param("wd", str(0.01 * 2**i)),
            Param("note", "auto" if i else "1"),
        ]
        client.log_batch(run, metrics, params)
        client.set_terminated(run)
    client.create_run(experiment)
    client.create_experiment("empty", artifact_location=(folder / "none").as_uri())
    return uri


def test_an_experiment_becomes_a_run_table(uri, tmp_path):
    found = import_experiment("theirs", uri, {})
    assert "1 run without accuracies left out." in found.notes
    found.frame.to_parquet(tmp_path / "runs.parquet")
    source = read_source(tmp_path / "runs.parquet")
    assert {name: scale for name, scale in source.scales.items() if name != "note"} == {
        "train_frac": "linear",
        "wd": "log",
    }
    frame = source.frame.sort_values("train_frac")
    assert frame["t_gen"].tolist() == [3000] * 4 + [1000] * 6
    assert frame["t_gen_event"].tolist() == [False] * 4 + [True] * 6
    assert set(frame["outcome"]) == {"finished"}


def test_what_mlflow_does_not_have_is_said(uri, tmp_path):
    with pytest.raises(DataError, match=r"no experiment 'their'. It has: Default, empty, theirs"):
        import_experiment("their", uri, {})
    with pytest.raises(DataError, match=r"no run of 'empty' has a metric called like an accuracy"):
        import_experiment("empty", uri, {})
    with pytest.raises(DataError, match="does not exist"):
        import_experiment("theirs", f"sqlite:///{tmp_path / 'none.db'}", {})
    with pytest.raises(DataError, match="unknown column 'tset/acc'"):
        import_experiment("theirs", uri, {"val_accuracy": "tset/acc"})
