"""Looking inside: by a run's identity, by a sweep's name, with and without weight snapshots."""

import pandas as pd
import pytest

from grokcore import RunConfig, train
from grokcore.errors import CheckpointError, ConfigError, DataError
from grokcore.records.weight_snapshots import SnapshotFolder
from sweeps.finished_runs.inspect import measure, show


@pytest.fixture
def single(tmp_path):
    """Return a single run under results/runs, without weights, and the results folder."""
    config = RunConfig.from_dict(
        {
            "task": {"name": "modular_addition", "modulus": 7},
            "model": {"name": "mlp", "width": 8},
            "optimizer": {"name": "adamw", "rate": 1e-2},
            "fraction": 0.6,
            "steps": 12,
        }
    )
    (record,) = train([config])
    folder = tmp_path / "runs" / record.run_id
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(record.to_json())
    return record, tmp_path


def test_a_run_without_weights_shows_its_curves_and_says_so_and_again_trains_it(single):
    record, results = single
    said = []
    paths = show(record.run_id[:6], results, None, again=False, style="screen", say=said.append)
    assert any("--again" in line for line in said)
    assert "Only the curves are shown" in paths["html"].read_text()
    said.clear()
    paths = show(record.run_id, results, None, again=True, style="screen", say=said.append)
    assert said == [f"training run {record.run_id} again, 12 steps"]
    assert "Only the curves" not in paths["html"].read_text()
    assert paths["png"].exists()


def test_measuring_a_run_writes_its_table_and_says_what_is_skipped_once(single):
    record, results = single
    with pytest.raises(CheckpointError, match="--keep-weights"):
        measure(record.run_id, results, "light", print)
    train([record.config], on_snapshot=SnapshotFolder(results / "runs" / record.run_id))
    said = []
    (path,) = measure(record.run_id, results, "light,update_size,restricted_loss", said.append)
    table = pd.read_parquet(path)
    assert table["restricted_loss"].notna().all()
    assert "update_size" not in table
    assert sum("update_size is not measured" in line for line in said) == 1


def test_unknown_runs_and_measures_are_refused(single):
    _, results = single
    with pytest.raises(DataError, match="there is none"):
        show("0123456789abcdef", results, None, again=False, style="screen", say=print)
    with pytest.raises(ConfigError, match="unknown measure 'lite'"):
        measure("abc", results, "lite", print)


def test_a_page_does_not_depend_on_mlflow(monkeypatch, tmp_path):
    from sweeps.tracking.mlflow_mirror import offer

    said = []
    folder = tmp_path / "sweep"
    folder.mkdir()
    page = tmp_path / "abc.html"
    page.write_text("a page")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    offer(folder, "abc", [page], "inside", said.append)
    assert said == [], "a sweep that is not mirrored is left alone"
    (tmp_path / "mlflow.db").write_text("not a database")
    offer(folder, "abc", [page], "inside", said.append)
    assert len(said) == 1
    assert "could not be logged" in said[0]
