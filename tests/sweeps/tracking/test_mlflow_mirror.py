"""The mirror in MLflow: each run once, the same when written twice, whole again after it was lost."""

import shutil
import threading

import numpy as np
import pytest

from sweeps.tracking import mlflow_follower
from sweeps.tracking.mlflow_follower import follow
from sweeps.tracking.mlflow_mirror import Mirror, track
from sweeps.tracking.run_entry import POINTS, thinned
from sweeps.tracking.run_writer import DatabaseWriter
from sweeps.tracking.trouble import TrackingError

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


def test_everything_of_a_run_is_there(swept, spec, client, runs_of):
    assert track(swept.path) == 5
    runs = {run.data.tags["run_id"]: run for run in runs_of(swept.path) if run.data.tags["kind"] == "run"}
    for record in swept.records():
        run = runs[record.run_id]
        assert run.info.status == "FINISHED"
        assert run.data.params["optimizer.decay"] == "0.1"
        assert run.data.params.keys() == record.config.to_flat().keys()
        assert run.data.tags["regime"] == record.regime_under(spec.rule)
        assert run.data.tags["outcome"] == record.outcome
        assert run.data.tags["sweep"] == spec.name
        assert run.data.metrics["t_mem"] == record.milestone("train", 0.9).step
        history = client(swept.path).get_metric_history(run.info.run_id, "val_accuracy")
        assert [point.step for point in history] == record.columns["step"].tolist()
        assert [point.value for point in history] == record.columns["val_accuracy"].tolist()


def test_writing_again_writes_nothing(swept, runs_of):
    track(swept.path)
    assert track(swept.path) == 0
    assert len(runs_of(swept.path)) == 6


def test_runs_that_are_written_side_by_side_are_each_there_once(swept, runs_of):
    mirror = Mirror(swept.path)
    mirror.uri = "http://a-server"  # several at a time, as to a server
    assert mirror.write_all(swept.records()) == 5
    assert mirror.write_all(swept.records()) == 0
    runs = runs_of(swept.path)
    assert sorted(run.data.tags["run_id"] for run in runs) == sorted(swept.finished)
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_a_run_left_unfinished_by_a_crash_is_completed_not_doubled(swept, monkeypatch, runs_of):
    def die(*_):
        raise KeyboardInterrupt

    records = list(swept.records())
    mirror = Mirror(swept.path)
    mirror.uri = "http://a-server"  # a database has a run whole or not at all
    mirror.write(records[0])
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.tracking.MlflowClient.log_batch", die)
        with pytest.raises(KeyboardInterrupt):
            mirror.write(records[1])
    assert sorted(run.info.status for run in runs_of(swept.path)) == ["FINISHED", "RUNNING"]
    assert track(swept.path) == 4
    assert {run.info.status for run in runs_of(swept.path)} == {"FINISHED"}
    assert len(runs_of(swept.path)) == 6


def test_the_sweep_has_a_run_with_its_specification_its_counts_and_its_map(swept, spec, client, runs_of):
    track(swept.path)
    (run,) = [run for run in runs_of(swept.path) if run.data.tags["kind"] == "sweep"]
    assert {item.path for item in client(swept.path).list_artifacts(run.info.run_id)} == {"spec.toml", "map.svg"}
    assert sum(int(run.data.tags[name]) for name in ("confusion", "memorization", "grokking", "comprehension")) == 5
    assert not run.data.metrics, "its counts would fill the charts"
    assert not run.data.params, "what changes cannot be a param"
    assert spec.rule.sentence() in run.data.tags["mlflow.note.content"]


def test_a_lost_mirror_is_rebuilt_from_the_sweeps_folder_alone(swept, tmp_path, runs_of):
    track(swept.path)
    elsewhere = shutil.copytree(swept.path, tmp_path / "elsewhere" / swept.path.name)
    assert track(elsewhere) == 5
    assert len(runs_of(elsewhere)) == 6


def test_a_writer_that_follows_writes_what_comes_and_ends_when_told(
    swept, spec, configs, pretend, monkeypatch, runs_of
):
    monkeypatch.setattr(mlflow_follower, "POLL_SECONDS", 0.05)
    over = threading.Event()
    thread = threading.Thread(target=follow, args=(swept.path, over))
    thread.start()
    late = spec.whole_space.config({"fraction": 0.8, "optimizer.decay": 1.0, "optimizer.rate": 0.01, "seed": 0})
    swept.add([pretend(late)])
    over.set()
    thread.join(60)
    assert not thread.is_alive()
    ids = [run.data.tags["run_id"] for run in runs_of(swept.path) if run.data.tags["kind"] == "run"]
    assert sorted(ids) == sorted([*(config.run_id for config in configs), late.run_id])


def test_a_server_that_is_away_for_a_while_is_waited_for(swept, monkeypatch, runs_of):
    monkeypatch.setattr(mlflow_follower, "POLL_SECONDS", 0.01)
    failures = iter([OSError("connection refused")] * 3)
    rows = DatabaseWriter.write

    def flaky(self, *words):
        if (error := next(failures, None)) is not None:
            raise error
        return rows(self, *words)

    monkeypatch.setattr(DatabaseWriter, "write", flaky)
    over = threading.Event()
    over.set()
    follow(swept.path, over)
    assert len(runs_of(swept.path)) == 6


def test_a_server_that_stays_away_is_named_and_the_sweep_is_safe(swept, monkeypatch):
    monkeypatch.setattr(mlflow_follower, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(mlflow_follower, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(DatabaseWriter, "write", lambda *_: (_ for _ in ()).throw(OSError("connection refused")))
    over = threading.Event()
    over.set()
    with pytest.raises(TrackingError, match=r"mlflow\.db could not be written: connection refused"):
        follow(swept.path, over)


def test_curves_are_thinned_to_log_spaced_points_with_both_ends():
    steps = np.arange(3000)
    values = np.where(steps % 2 == 0, 1.0, np.nan)
    chosen = thinned(steps, values)
    assert len(chosen) <= POINTS
    assert chosen[0] == 0
    assert chosen[-1] == 2998
    assert np.isfinite(values[chosen]).all()
    assert np.diff(chosen).max() > 20 * np.diff(chosen).min()
