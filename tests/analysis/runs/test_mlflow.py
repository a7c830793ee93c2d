"""MLflow alone gives the same map: a sweep is mirrored, read back, and compared with its own table."""

import pandas as pd
import pytest

from analysis.runs.mlflow import read_mlflow
from analysis.runs.run_table import check_runs
from grokcore.errors import DataError

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's and its dependencies' own
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # MLflow leaves its SQLite connections to the collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def mirrored(tmp_path, known):
    """Write the known runs the way a sweep writes them: params as text, milestones as a tag."""
    import json

    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("little", artifact_location=(tmp_path / "artifacts").as_uri())
    frame = known.runs(10, 0)
    for index, row in frame.iterrows():
        milestones = {
            "t_mem": int(row["t_mem"]),
            "t_mem_event": bool(row["t_mem_event"]),
            "t_gen": int(row["t_gen"]),
            "t_gen_event": bool(row["t_gen_event"]),
        }
        tags = {"kind": "run", "run_id": f"{index:04x}", "regime": "grokking", "outcome": "finished"}
        run = client.create_run(experiment, tags=tags | {"milestones": json.dumps(milestones)})
        params = {"fraction": row["fraction"], "optimizer.decay": row["optimizer.decay"], "seed": int(row["seed"])}
        params |= {"batch": "full", "task.name": "modular_addition", "optimizer.betas": "[0.9, 0.98]"}
        client.log_batch(
            run.info.run_id,
            [Metric("val_loss", 0.5, 10, 10), Metric("t_mem", float(row["t_mem"]), 0, 0)],
            [Param(name, str(value)) for name, value in params.items()],
        )
    client.create_run(experiment, tags={"kind": "sweep"})
    return uri, frame


def test_the_table_comes_back_from_mlflow(mirrored, known):
    uri, frame = mirrored
    found = read_mlflow("little", uri)
    assert len(found) == len(frame)
    columns = ["fraction", "optimizer.decay", "t_mem", "t_mem_event", "t_gen", "t_gen_event", "seed"]
    pd.testing.assert_frame_equal(found[columns], frame[columns], check_dtype=False)
    assert found["batch"].unique().tolist() == ['"full"']
    assert found["optimizer.betas"].unique().tolist() == ["[0.9, 0.98]"]
    assert found["val_loss"].tolist() == [0.5] * len(frame)
    assert len(check_runs(found, known.scales(), 0.9).table) == len(frame)


def test_what_is_not_there_is_said(mirrored, tmp_path):
    uri, _ = mirrored
    with pytest.raises(DataError, match=r"no sweep 'big'. It has: Default, little"):
        read_mlflow("big", uri)
    with pytest.raises(DataError, match="does not exist"):
        read_mlflow("little", f"sqlite:///{tmp_path / 'other.db'}")
    assert not (tmp_path / "other.db").exists()


def test_sweeps_of_one_name_do_not_mix(mirrored):
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

    uri, _ = mirrored
    client = MlflowClient(tracking_uri=uri)
    (experiment,) = [found for found in client.search_experiments() if found.name == "little"]
    runs = client.search_runs([experiment.experiment_id], "tags.kind = 'run'")
    for number, run in enumerate(runs):
        client.set_tag(run.info.run_id, "sweep_id", "a" * 32 if number < 3 else "b" * 32)
        client.log_batch(run.info.run_id, [Metric("seed", 1.0, 0, 0)])
    with pytest.raises(DataError, match=r"2 sweeps called 'little'.*b{32} \(7 runs\), a{32} \(3 runs\)"):
        read_mlflow("little", uri)
    found = read_mlflow("little", uri, "a" * 32)
    assert len(found) == 3
    assert found["seed"].dtype.kind == "i", "a param is what it is, whatever a metric of its name says"
    with pytest.raises(DataError, match=r"of identity c+ has no finished run"):
        read_mlflow("little", uri, "c" * 32)
