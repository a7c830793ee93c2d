"""The store: append-only, crash-safe, one process at a time, the same run never twice."""

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokcore.errors import DataError, GrokmapError, SweepExistsError
from grokcore.records.regimes import RegimeRule
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.run_store import Asked, Store, SweepBusyError, meant, read_records
from sweeps.store.tables import write_tables


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


def begun(spec, results, chosen=1):
    """Make a sweep of which some runs are chosen."""
    space = {"fraction": 0.5, "optimizer.decay": 0.1, "optimizer.rate": 0.01, "seed": 0}
    with Store(spec, results) as store:
        store.ask([Asked(number=n, params=space, run_id=f"{n:016x}") for n in range(chosen)])


def test_another_spec_under_the_same_name_is_refused_with_the_difference(spec, changed, tmp_path):
    begun(spec, tmp_path)
    with pytest.raises(SweepExistsError) as error:
        Store(changed(spec, seed=25, runs=90), tmp_path)
    text = str(error.value)
    assert "seed: 0 → 25" in text
    assert "runs" not in text
    assert "--name small-2" in text
    assert "--continue" in text


def test_a_sweep_grows_takes_another_rule_and_another_width_and_writes_it_down(spec, changed, tmp_path):
    begun(spec, tmp_path)
    other = changed(spec, runs=90, rule=RegimeRule(threshold=0.95, budget=30, gap=5), width=2, map_axes=("decay",))
    with Store(other, tmp_path) as store:
        assert "runs: 24 → 90" in store.changes
        assert "rule.threshold: 0.9 → 0.95" in store.changes
    assert SweepSpec.from_toml(tmp_path / spec.name / "spec.toml") == other
    with Store(other, tmp_path) as store:
        assert store.changes == []


def test_a_sweep_cannot_have_fewer_runs_than_are_chosen(spec, changed, tmp_path):
    begun(spec, tmp_path, chosen=12)
    with pytest.raises(SweepExistsError, match="has 12 runs chosen already, so runs = 11 cannot be; give at least 12"):
        Store(changed(spec, runs=11), tmp_path)
    Store(changed(spec, runs=12), tmp_path).close()


def test_the_order_of_the_varied_fields_is_part_of_a_sweep(spec, changed, tmp_path):
    begun(spec, tmp_path)
    with pytest.raises(
        SweepExistsError, match="in its order: fraction, decay, rate, seed → seed, rate, decay, fraction"
    ):
        Store(changed(spec, space=dict(reversed(spec.space.items()))), tmp_path)
    Store(SweepSpec.from_toml(tmp_path / spec.name / "spec.toml"), tmp_path).close()


def test_a_results_folder_that_cannot_be_written_is_named(spec, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/small.* cannot be written .*--results"):
        Store(spec, tmp_path / "file")


@pytest.mark.parametrize("name", ["asked", "cohorts", "records"])
@pytest.mark.parametrize(
    "damage", [b"{}\n", b"[1\n", b'{"number": 0, "params": 3, "run_id": "0123456789abcdef"}\n', b"[" * 9000 + b"\n"]
)
def test_a_damaged_line_is_named_by_number_with_what_is_lost_and_a_remedy_that_works(
    spec, configs, pretend, tmp_path, name, damage
):
    begun(spec, tmp_path, chosen=2)
    with Store(spec, tmp_path) as store:
        store.hand_out("0" * 16, [configs[0].run_id])
        store.add([pretend(configs[0])])
        folder = store.path
    path = folder / f"{name}.jsonl"
    good = path.read_bytes()
    first = good.splitlines(keepends=True)[0]
    path.write_bytes(first + damage + good[len(first) :])

    def read_all():
        with Store(spec, tmp_path) as store:
            store.asked(), store.cohorts(), list(store.records())

    with pytest.raises(DataError, match=f"{name}.jsonl, line 2: .*sed -i 2d .*then") as caught:
        read_all()
    subprocess.run(str(caught.value).partition("or: ")[2].partition(" (")[0], shell=True, check=True)
    assert path.read_bytes() == good
    read_all()


def test_a_sweep_that_was_refused_before_its_first_run_can_be_mended_under_its_name(spec, changed, tmp_path):
    Store(changed(spec, device="cuda"), tmp_path).close()
    Store(spec, tmp_path).close()
    assert SweepSpec.from_toml(tmp_path / spec.name / "spec.toml") == spec


def test_two_processes_cannot_run_one_sweep(spec, tmp_path):
    with Store(spec, tmp_path), pytest.raises(SweepBusyError, match="another process"):
        Store(spec, tmp_path)
    Store(spec, tmp_path).close()


def test_what_was_asked_is_read_back(spec, tmp_path):
    params = {"optimizer.decay": 0.1, "optimizer.rate": 0.01, "seed": 0}
    asked = [Asked(number=i, params={"fraction": 0.3 + 0.1 * i, **params}, run_id=f"{i:016x}") for i in range(3)]
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
