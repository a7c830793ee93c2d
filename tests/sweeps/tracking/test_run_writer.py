"""Rows written past MLflow's interface are those that MLflow itself would write; names, times and axes are right."""

import dataclasses

import pytest

from sweeps.spec.space import Choice
from sweeps.store.run_store import Store
from sweeps.tracking import mlflow_mirror
from sweeps.tracking.mlflow_mirror import Mirror, track
from sweeps.tracking.run_entry import entry_of
from sweeps.tracking.sweep_identity import sweep_identity

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


def everything(path, client, runs_of):
    """Return all that MLflow shows of each run but what it chose itself."""
    api, shown = client(path), {}
    for run in runs_of(path):
        if run.data.tags["kind"] == "run":
            info = (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time, run.info.user_id)
            history = {
                name: [
                    (point.step, point.value, point.timestamp)
                    for point in api.get_metric_history(run.info.run_id, name)
                ]
                for name in run.data.metrics
            }
            sweep = run.data.tags["sweep_id"]
            tags = {name: text.replace(sweep, "ITS SWEEP") for name, text in run.data.tags.items()}
            artifacts = run.info.artifact_uri.replace(run.info.run_id, "ID")
            shown[tags["run_id"]] = (info, run.data.params, tags, run.data.metrics, history, artifacts)
    return shown


def test_past_its_interface_or_by_it_mlflow_shows_the_same(
    spec, configs, pretend, tmp_path, client, runs_of, monkeypatch
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shown = []
    for name, databases in (("past", mlflow_mirror.DATABASES), ("by", ())):
        monkeypatch.setattr(mlflow_mirror, "DATABASES", databases)
        with Store(spec, tmp_path / name) as store:
            store.add([dataclasses.replace(pretend(config), trained=(1e9, 1e9 + 7.25)) for config in configs])
            assert track(store.path) == 5
            shown.append(everything(store.path, client, runs_of))
    past, by = shown
    # Where its artifacts lie, a database's mirror says, a server's does not.
    assert {run_id: values[:-1] for run_id, values in past.items()} == {k: v[:-1] for k, v in by.items()}
    assert all("/mlflow-artifacts/small/ID/artifacts" in values[-1] for values in past.values())


def test_a_run_begins_and_ends_with_its_training(spec, configs, pretend, tmp_path, monkeypatch, runs_of):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with Store(spec, tmp_path) as store:
        store.add(
            [dataclasses.replace(pretend(config), trained=(1e9 + i, 1e9 + 60)) for i, config in enumerate(configs)]
        )
        track(store.path)
    for run in runs_of(store.path):
        begun, ended = run.info.start_time / 1000, run.info.end_time / 1000
        assert ended == 1e9 + 60
        # The sweep's own begins before all of its runs.
        assert begun == 1e9 - 1 if run.data.tags["kind"] == "sweep" else 1e9 <= begun < 1e9 + 5


def test_mlflow_can_filter_by_the_numbers_that_were_varied(swept, client):
    track(swept.path)
    api = client(swept.path)
    (experiment,) = [found for found in api.search_experiments() if found.name == swept.path.name]
    assert "Sweeps called small" in experiment.tags["mlflow.note.content"]
    found = api.search_runs([experiment.experiment_id], "metrics.fraction > 0.38 and metrics.`optimizer.decay` = 0.1")
    assert {run.data.params["fraction"] for run in found} == {"0.4", "0.45", "0.5"}
    assert all(run.data.metrics["seed"] == int(run.data.params["seed"]) for run in found)


def test_a_write_that_is_cut_off_leaves_no_run_or_whole_ones(swept, runs_of, monkeypatch):
    from sweeps.tracking import run_writer

    written = []

    def cut(connection, table, rows):
        written.append(table.name)
        if table.name == "params":
            raise KeyboardInterrupt
        insert(connection, table, rows)

    insert = run_writer._insert
    with monkeypatch.context() as patch:
        patch.setattr(run_writer, "_insert", cut)
        with pytest.raises(KeyboardInterrupt):
            track(swept.path)
    assert written == ["runs", "tags", "params"]
    assert runs_of(swept.path) == []
    assert track(swept.path) == 5


def test_writers_that_do_not_know_of_each_other_write_each_run_once(swept, runs_of):
    """As from two hosts, where no lock is shared."""
    first, second = Mirror(swept.path), Mirror(swept.path)
    _ = first._there, second._there
    first.write_all(swept.records())
    second.write_all(swept.records())
    assert len(runs_of(swept.path)) == 5


def test_tables_as_values_have_names(spec, pretend, changed, tmp_path):
    tasks = ({"name": "modular_addition", "modulus": 7}, {"name": "modular_addition", "modulus": 11}, "parity")
    space = {**spec.space, "task": Choice(values=tasks[:2]), "transform": Choice(values=("none", "grokfast_ema"))}
    spec = changed(spec, space=space)
    params = {"fraction": 0.5, "optimizer.decay": 0.1, "optimizer.rate": 0.01, "seed": 0}
    names = []
    for task in tasks[:2]:
        for transform in ("none", "grokfast_ema"):
            config = spec.whole_space._config(params | {"task": task, "transform": transform})
            names.append(entry_of(pretend(config), spec, sweep_identity(tmp_path)).name.partition(" task ")[2])
    assert names == [
        "modular_addition (modulus 7) transform none",
        "modular_addition (modulus 7) transform grokfast_ema",
        "modular_addition (modulus 11) transform none",
        "modular_addition (modulus 11) transform grokfast_ema",
    ]
