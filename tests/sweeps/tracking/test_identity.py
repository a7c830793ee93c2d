"""A sweep is known by its identity: names may be used again, folders deleted, and earlier versions knew none."""

import json
import shutil
import threading

import pytest

from grokcore.errors import DataError
from sweeps.store.run_store import Store
from sweeps.tracking.mlflow_mirror import Mirror, track
from sweeps.tracking.sweep_identity import sweep_identity

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


def kinds(runs, sweep_id):
    """Return how many runs and sweeps of that identity there are."""
    tags = [run.data.tags for run in runs if run.data.tags.get("sweep_id") == sweep_id]
    return {kind: sum(tag["kind"] == kind for tag in tags) for kind in ("run", "sweep")}


def test_an_identity_is_made_once_whoever_asks_first(tmp_path):
    found, start = [], threading.Barrier(8)

    def ask():
        start.wait()
        found.append(sweep_identity(tmp_path))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["sweep_id"]


def test_an_identity_that_is_none_is_named(tmp_path):
    (tmp_path / "sweep_id").write_text("x' OR '1'='1")
    with pytest.raises(DataError, match="not 32 digits"):
        sweep_identity(tmp_path)


def test_a_sweep_that_is_begun_anew_under_its_old_name_is_another(spec, configs, pretend, swept, runs_of, changed):
    path = swept.path
    track(path)
    old = sweep_identity(path)
    swept.close()
    shutil.rmtree(path)
    # Fewer runs by another sampler: what once were params that could not change.
    again = changed(spec, runs=7, sampler="random")
    with Store(again, path.parent) as store:
        store.add([pretend(config) for config in configs[:2]])
        assert track(path) == 2
        assert track(path) == 0
    new = sweep_identity(path)
    runs = runs_of(path)
    assert kinds(runs, old) == {"run": 5, "sweep": 1}
    assert kinds(runs, new) == {"run": 2, "sweep": 1}
    (sweep,) = [r for r in runs if r.data.tags["kind"] == "sweep" and r.data.tags["sweep_id"] == new]
    assert (sweep.data.tags["finished"], sweep.data.tags["runs"], sweep.data.tags["sampler"]) == ("2", "7", "random")


def test_a_sweep_that_grows_keeps_one_run_of_its_own(spec, swept, runs_of, changed):
    track(swept.path)
    swept.close()
    (swept.path / "spec.toml").write_text(changed(spec, runs=90).to_toml())
    track(swept.path)
    (sweep,) = [run for run in runs_of(swept.path) if run.data.tags["kind"] == "sweep"]
    assert sweep.data.tags["runs"] == "90"


@pytest.mark.parametrize("server", [False, True])
def test_runs_are_judged_anew_where_the_rule_changed(spec, swept, runs_of, changed, server, monkeypatch):
    if server:
        monkeypatch.setattr("sweeps.tracking.mlflow_mirror.DATABASES", ())
    track(swept.path)
    stricter = changed(spec, rule=changed(spec.rule, ratio=1.5))
    (swept.path / "spec.toml").write_text(stricter.to_toml())
    assert track(swept.path) == 5
    assert track(swept.path) == 0
    runs = {run.data.tags["run_id"]: run for run in runs_of(swept.path) if run.data.tags["kind"] == "run"}
    assert len(runs_of(swept.path)) == 6
    for record in swept.records():
        regime = str(record.regime_under(stricter.rule))
        assert runs[record.run_id].data.tags["regime"] == regime
        assert runs[record.run_id].info.run_name.startswith(f"{regime}:")


@pytest.mark.parametrize("server", [False, True])
def test_what_an_earlier_version_wrote_twice_is_merged(swept, client, runs_of, server, monkeypatch):
    """As versions did that knew no identity: params of the sweep's run, runs twice, one of them unfinished."""
    if server:
        monkeypatch.setattr("sweeps.tracking.mlflow_mirror.DATABASES", ())
    mirror = Mirror(swept.path)
    api, experiment = client(swept.path), mirror._experiment
    records = list(swept.records())
    for copy in range(2):
        for record in records[: 4 - copy]:
            tags = {"run_id": record.run_id, "kind": "run", "sweep": swept.path.name, "milestones": json.dumps({})}
            run = api.create_run(experiment, tags=tags)
            if (copy, record) != (1, records[2]):
                api.set_terminated(run.info.run_id)
        run = api.create_run(experiment, tags={"kind": "sweep", "sweep": swept.path.name})
        api.log_param(run.info.run_id, "runs", 12 + copy)
    # Of a sweep of the same name that lies elsewhere: not ours to touch.
    api.create_run(experiment, tags={"run_id": "0" * 16, "kind": "run", "sweep": swept.path.name})
    assert track(swept.path) == 1
    runs = runs_of(swept.path)
    assert kinds(runs, mirror.sweep_id) == {"run": 5, "sweep": 1}
    assert len(runs) == 7
    ids = [r.data.tags["run_id"] for r in runs if r.data.tags.get("sweep_id") and r.data.tags["kind"] == "run"]
    assert sorted(ids) == sorted(swept.finished)
    assert track(swept.path) == 0
