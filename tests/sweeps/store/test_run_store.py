"""The store: append-only, crash-safe, one process at a time, the same run never twice."""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokcore.errors import DataError, GrokmapError, SweepExistsError
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.run_store import Asked, Store, SweepBusyError, meant, read_records, write_tables


@pytest.fixture
def configs(spec):
    space = spec.whole_space
    return [
        space.config({"fraction": 0.3 + 0.01 * i, "optimizer.decay": 0.1 * (i + 1), "optimizer.rate": 0.01, "seed": 0})
        for i in range(12)
    ]


def test_what_is_added_is_read_back_bit_for_bit(spec, configs, pretend, tmp_path):
    records = [pretend(config) for config in configs]
    with Store(spec, tmp_path) as store:
        store.add(records)
        assert [record.to_json() for record in store.records()] == [record.to_json() for record in records]


def test_a_run_added_twice_is_there_once(spec, configs, pretend, tmp_path):
    first, second = pretend(configs[0]), pretend(configs[1])
    with Store(spec, tmp_path) as store:
        assert store.add([first, first]) == [first]
        assert store.add([first, second]) == [second]
    with Store(spec, tmp_path) as store:
        assert store.add([second]) == []
        assert len(list(store.records())) == 2


@pytest.mark.parametrize("cut", [1, 10, 300])
def test_a_torn_last_line_costs_that_line_only(spec, configs, pretend, tmp_path, cut):
    with Store(spec, tmp_path) as store:
        store.add([pretend(config) for config in configs[:3]])
    path = tmp_path / spec.name / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    with Store(spec, tmp_path) as store:
        assert len(store.finished) == 2
        store.add([pretend(configs[2])])
        assert [record.run_id for record in store.records()] == [config.run_id for config in configs[:3]]


def test_a_file_torn_in_its_first_line_starts_empty(spec, configs, pretend, tmp_path):
    with Store(spec, tmp_path) as store:
        store.add([pretend(configs[0])])
    path = tmp_path / spec.name / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    with Store(spec, tmp_path) as store:
        assert store.finished == frozenset()


def test_another_spec_under_the_same_name_is_refused_with_the_difference(spec, changed, tmp_path):
    with Store(spec, tmp_path) as store:
        store.ask([Asked(number=0, params={"fraction": 0.5, "seed": 0}, run_id=f"{0:016x}")])
    with pytest.raises(SweepExistsError) as error:
        Store(changed(spec, runs=25), tmp_path)
    text = str(error.value)
    assert "runs: 24 → 25" in text
    assert "--name small-2" in text
    assert "--continue" in text


def test_a_sweep_that_was_refused_before_its_first_run_can_be_mended_under_its_name(spec, changed, tmp_path):
    Store(changed(spec, device="cuda"), tmp_path).close()
    Store(spec, tmp_path).close()
    assert SweepSpec.from_toml(tmp_path / spec.name / "spec.toml") == spec


def test_two_processes_cannot_run_one_sweep(spec, tmp_path):
    with Store(spec, tmp_path), pytest.raises(SweepBusyError, match="another process"):
        Store(spec, tmp_path)
    Store(spec, tmp_path).close()


def test_what_was_asked_is_read_back(spec, tmp_path):
    asked = [Asked(number=i, params={"fraction": 0.1 * i, "seed": 0}, run_id=f"{i:016x}") for i in range(3)]
    with Store(spec, tmp_path) as store:
        store.ask(asked[:2])
        store.ask(asked[2:])
        assert store.asked() == asked


def test_tables_hold_every_run_and_every_point_of_its_curves(spec, configs, pretend, tmp_path):
    with Store(spec, tmp_path) as store:
        store.add([pretend(config) for config in configs])
        runs = write_tables(store.path, spec.rule)
        assert runs["run_id"].tolist() == [config.run_id for config in configs]
        assert pd.read_parquet(store.path / "runs.parquet")["run_id"].tolist() == runs["run_id"].tolist()
        curves = pd.read_parquet(store.path / "curves.parquet")
        assert curves.groupby("run_id").size().eq(7).all()
        assert curves["run_id"].nunique() == 12
        assert not list(store.path.glob(".*"))


def test_a_line_edited_by_hand_is_named(spec, configs, pretend, tmp_path):
    with Store(spec, tmp_path) as store:
        store.add([pretend(configs[0])])
    path = tmp_path / spec.name / "records.jsonl"
    path.write_text(path.read_text() + '{"run_id":"0123456789abcdef","config":{}}\n')
    with pytest.raises(DataError, match="line 2"):
        list(read_records(tmp_path / spec.name))


@given(st.binary(max_size=120))
def test_any_bytes_in_the_records_are_records_or_an_error_of_ours(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "records.jsonl").write_bytes(content + b"\n")
    with pytest.raises(GrokmapError):
        list(read_records(folder))


def test_lines_are_json_that_other_tools_can_read(spec, configs, pretend, tmp_path):
    with Store(spec, tmp_path) as store:
        store.add([pretend(configs[0])])
        (line,) = (store.path / "records.jsonl").read_text().splitlines()
    assert json.loads(line)["run_id"] == configs[0].run_id


def test_a_sweep_is_meant_by_name_or_folder_and_a_file_that_is_there_goes_first(spec, tmp_path, monkeypatch):
    results = tmp_path / "results"
    with Store(spec, results) as store:
        folder = store.path
    assert meant(Path(spec.name), results) == folder
    assert meant(folder, results) == folder
    assert meant(Path("unknown"), results) == Path("unknown")
    monkeypatch.chdir(tmp_path)
    Path(spec.name).mkdir()
    assert meant(Path(spec.name), results) == Path(spec.name)
