"""Every reader of files, fed with anything: a right answer or an error of ours, never another's, and never code run.

`GROKMAP_FUZZ=250 python -m pytest tests/contracts/test_readers_fuzz.py` tries 250 times as much, anew each time: 10,000
for the readers of which the gate tries 40.
"""

import contextlib
import io
import json
import os
import pickle
import tomllib

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from analysis import RegimeMap
from analysis.runs.run_table import read_runs
from analysis.runs.sources import read_source
from cluster.diagnosis.checks import file_complaints, host_complaints, read_launch_file, schema_complaints
from grokcore import RunConfig, RunRecord, train
from grokcore.engine.cohort import Cohort
from grokcore.errors import CheckpointError, ConfigError, DataError, GrokmapError
from sweeps.cli.runs import _config_of
from sweeps.driver import Driver
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.run_store import Asked, Store, read_records, record_ids
from sweeps.store.tables import write_tables

TIMES = int(os.environ.get("GROKMAP_FUZZ", "1"))


def fuzz(examples):
    """Return settings that try that many examples, the same ones unless more are asked for."""
    return settings(
        max_examples=examples * TIMES,
        deadline=None,
        derandomize=TIMES == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


FUZZ = fuzz(40)

CONFIG = {
    "task": {"name": "modular_addition", "modulus": 5},
    "model": {"name": "mlp", "width": 4},
    "optimizer": {"name": "adamw"},
    "fraction": 0.5,
    "steps": 10,
}
SPEC = """name = "s"
runs = 4
[run]
steps = 10
task = { name = "modular_addition", modulus = 5 }
model = { name = "mlp", width = 4 }
optimizer = { name = "adamw" }
[space]
fraction = { low = 0.3, high = 0.9 }
decay = { low = 0.1, high = 1.0, log = true }
[rule]
budget = 10
ratio = 5.0
"""

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def damaged(text):
    """Strategy: a right file with a stretch of it replaced by anything, or cut off."""
    data = text.encode() if isinstance(text, str) else text
    places = st.tuples(st.integers(0, len(data)), st.integers(0, 40), st.binary(max_size=30))
    return places.map(lambda place: data[: place[0]] + place[2] + data[place[0] + place[1] :]) | st.integers(
        0, len(data)
    ).map(lambda end: data[:end])


class Bomb:
    """Runs a command when a pickle of it is loaded."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.fixture(scope="module")
def config():
    return RunConfig.from_dict(CONFIG)


@pytest.fixture(scope="module")
def record(config):
    return train([config])[0]


@pytest.fixture(scope="module")
def checkpoint(config):
    cohort = Cohort([config])
    cohort.advance(seconds=0)
    return cohort.to_bytes()


# ---- Specifications --------------------------------------------------------------------------------------------------


@FUZZ
@given(content=st.binary(max_size=200) | damaged(SPEC))
@example(content=b"[" * 5000)
@example(content=b"name = " + b"{a=" * 2000)
@example(content=SPEC.replace("0.3", "nan").encode())
@example(content=SPEC.replace("modulus = 5", "modulus = 999999999").encode())
@example(content=SPEC.replace('"s"', '"../../etc"').encode())
def test_a_specification_is_read_or_refused(tmp_path, content):
    path = tmp_path / "spec.toml"
    path.write_bytes(content)
    try:
        spec = SweepSpec.from_toml(path)
    except ConfigError as error:
        assert str(path) in str(error)  # noqa: PT017 - either way is right
    else:
        assert SweepSpec.from_dict(spec.to_dict()) == spec
        assert "/" not in spec.name


@FUZZ
@given(given=st.dictionaries(st.sampled_from(sorted([*CONFIG, "seed", "batch", "nonsense", "optimizer.rate"])), values))
def test_a_configuration_is_read_or_refused(given):
    try:
        config = RunConfig.from_dict(CONFIG | given)
    except ConfigError:
        return
    assert RunConfig.from_dict(config.to_dict()).run_id == config.run_id


# ---- The store -------------------------------------------------------------------------------------------------------


@FUZZ
@given(data=st.data())
def test_a_record_is_read_or_refused(record, data):
    line = data.draw(damaged(record.to_json()) | st.binary(max_size=60) | values.map(lambda v: json.dumps(v).encode()))
    with contextlib.suppress(DataError, ConfigError):
        RunRecord.from_json(line)


@FUZZ
@given(data=st.data(), name=st.sampled_from(["asked.jsonl", "cohorts.jsonl", "records.jsonl", "spec.toml"]))
def test_a_store_is_opened_or_refused(tmp_path_factory, record, data, name):
    folder = tmp_path_factory.mktemp("store")
    (folder / "spec.toml").write_text(SPEC)
    spec = SweepSpec.from_toml(folder / "spec.toml")
    path = folder / "s"
    with Store(spec, folder) as store:
        store.add([record])
    whole = (path / name).read_bytes() or b'{"number": 0, "params": {}, "run_id": "x"}\n'
    (path / name).write_bytes(data.draw(damaged(whole) | st.binary(max_size=80)))
    try:
        with Store(spec, folder) as store:
            store.asked()
            store.cohorts()
            list(store.records())
        list(record_ids(path))
    except GrokmapError:
        pass


def test_a_torn_last_line_costs_that_run_alone(tmp_path, record):
    (tmp_path / "spec.toml").write_text(SPEC)
    spec = SweepSpec.from_toml(tmp_path / "spec.toml")
    with Store(spec, tmp_path) as store:
        store.add([record])
        path = store.path
    lines = path / "records.jsonl"
    lines.write_bytes(lines.read_bytes() + b'{"run_id":"0123456789abcdef","conf')
    with Store(spec, tmp_path) as store:
        assert store.finished == {record.run_id}
    assert [found.run_id for found in read_records(path)] == [record.run_id]


def changes_of(value):
    """Strategy: plain values with one of them, at any depth, replaced by anything or left out."""

    def inner(found, path):
        yield path
        for key in found if isinstance(found, dict) else range(len(found)) if isinstance(found, list) else ():
            yield from inner(found[key], (*path, key))

    def changed(choice):
        path, put, gone = choice
        copy = json.loads(json.dumps(value))
        if not path:
            return put
        place = copy
        for key in path[:-1]:
            place = place[key]
        if gone:
            del place[path[-1]]
        else:
            place[path[-1]] = put
        return copy

    return st.tuples(st.sampled_from(list(inner(value, ()))), values | EXTREME, st.booleans()).map(changed)


EXTREME = st.sampled_from(
    [2**64, -(2**70), 10**400, 1e308, "\x00", "../..", [[1]], {"name": "x"}, {"low": 1, "high": 2}]
)


@fuzz(200)
@given(changed=changes_of(tomllib.loads(SPEC)))
@example(changed={**tomllib.loads(SPEC), "measures": [1]})
@example(changed={**tomllib.loads(SPEC), "measures": 3})
def test_a_specification_with_another_value_anywhere_is_made_or_refused(changed):
    try:
        spec = SweepSpec.from_dict(changed)
    except ConfigError:
        return
    assert SweepSpec.from_dict(spec.to_dict()) == spec


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Return a sweep's results folder with three runs chosen, two finished and one cohort out."""
    results = tmp_path_factory.mktemp("swept")
    (results / "spec.toml").write_text(SPEC)
    spec = SweepSpec.from_toml(results / "spec.toml")
    params = [{"fraction": 0.4 + 0.1 * n, "optimizer.decay": 0.2} for n in range(3)]
    configs = [spec.whole_space.config(chosen) for chosen in params]
    with Store(spec, results) as store:
        asked = enumerate(zip(params, configs, strict=True))
        store.ask(Asked(number=n, params=chosen, run_id=config.run_id) for n, (chosen, config) in asked)
        store.add(train(configs[:2], measures="none"))
        store.hand_out("0" * 16, [config.run_id for config in configs])
    return results


@fuzz(120)
@given(data=st.data(), name=st.sampled_from(["asked", "cohorts", "records"]))
def test_a_sweep_with_a_line_of_anything_goes_on_or_is_refused_by_line(swept, data, name):
    """What was read is used: a driver takes the sweep up, and hands out what is left of it."""
    path = swept / "s" / f"{name}.jsonl"
    whole = {file: file.read_bytes() for file in path.parent.glob("*.jsonl")}
    lines = whole[path].splitlines(keepends=True)
    place = data.draw(st.integers(0, len(lines) - 1))
    changed = data.draw(changes_of(json.loads(lines[place])))
    lines[place] = json.dumps(changed, separators=(",", ":")).encode() + b"\n"
    path.write_bytes(b"".join(lines))
    try:
        with Store(SweepSpec.from_toml(swept / "spec.toml"), swept) as store:
            driver = Driver(store, key=lambda _: "", width=lambda _: 2)
            driver.next_cohort()
            write_tables(store.path, store.spec.rule)
    except DataError as error:
        assert f"{name}.jsonl, line {place + 1}: " in str(error)  # noqa: PT017 - either way is right
        assert "sed -i" in str(error)  # noqa: PT017
    finally:
        for file, content in whole.items():
            file.write_bytes(content)


NAMES = st.sampled_from(
    ["task", "model", "optimizer.decay", "steps", "task.name", "transform.first", "a.b", "", "loss"]
)


@fuzz(200)
@given(
    words=st.lists(
        st.tuples(NAMES, values.map(json.dumps) | st.text(max_size=9)).map("=".join) | st.text(max_size=12), max_size=4
    )
)
@example(words=["task=" + "[" * 5000])
@example(words=["x=" + '{"a":' * 3000 + "1" + "}" * 3000])
@example(words=["." * 3000 + "=1"])
@example(words=["a\x00.toml"])
@example(words=["/"])
def test_the_words_of_a_run_are_read_or_refused(words):
    try:
        config, _ = _config_of(words)
    except ConfigError:
        return
    assert RunConfig.from_dict(config.to_dict()).run_id == config.run_id


# ---- Run tables ------------------------------------------------------------------------------------------------------

TABLE = "fraction,decay,t_mem,t_mem_event,t_gen,t_gen_event\n" + "".join(
    f"0.{i},0.1,{10 * i},True,{100 * i},{i > 4}\n" for i in range(1, 10)
)


@FUZZ
@given(content=st.binary(max_size=200) | damaged(TABLE))
@example(content=b"")
@example(content=b"\x00" * 50)
@example(content=b'"' * 50)
@example(content="fraction\n".encode("utf-16"))
def test_a_csv_is_read_or_refused(tmp_path, content):
    path = tmp_path / "runs.csv"
    path.write_bytes(content)
    try:
        assert isinstance(read_runs(path), pd.DataFrame)
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017 - either way is right


def as_parquet(frame):
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


PARQUET = as_parquet(pd.read_csv(io.StringIO(TABLE)))


@FUZZ
@given(content=st.binary(max_size=200) | damaged(PARQUET))
def test_a_parquet_is_read_or_refused(tmp_path, content):
    path = tmp_path / "runs.parquet"
    path.write_bytes(content)
    try:
        assert isinstance(read_runs(path), pd.DataFrame)
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017 - either way is right


COLUMNS = ("fraction", "decay", "t_mem", "t_mem_event", "t_gen", "t_gen_event")
CELLS = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=4)


@fuzz(25)
@given(data=st.data(), rows=st.integers(0, 9), column=st.sampled_from(COLUMNS))
def test_a_table_with_a_column_of_anything_is_mapped_or_refused(data, rows, column):
    frame = pd.read_csv(io.StringIO(TABLE)).iloc[:rows].copy()
    frame[column] = pd.Series(data.draw(st.lists(CELLS, min_size=rows, max_size=rows)), dtype=object, index=frame.index)
    try:
        source = read_source(frame)
        rule = source.default_rule
        RegimeMap.fit(frame, axes={"fraction": "linear", "decay": "log"}, rule=rule, seed=0)
    except GrokmapError:
        pass


# ---- Checkpoints -----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")  # torch, of a file that is not its own
@FUZZ
@given(place=st.floats(0, 1), length=st.integers(0, 40), put=st.binary(max_size=30), cut=st.booleans())
@example(place=0.0, length=0, put=b"anything", cut=True)
def test_a_checkpoint_is_read_or_refused(config, checkpoint, place, length, put, cut):
    start = int(place * len(checkpoint))
    content = checkpoint[:start] + put + (b"" if cut else checkpoint[start + length :])
    try:
        cohort = Cohort.from_bytes(content, [config])
    except CheckpointError:
        return
    assert cohort.step >= 0


@FUZZ
@given(facts=st.dictionaries(st.sampled_from(["format", "step", "all", "left", "names", "run_steps"]), values))
def test_a_checkpoint_with_other_facts_is_read_or_refused(config, checkpoint, facts):
    from grokcore.engine import checkpoint as files

    tensors, known = files.from_bytes(checkpoint)
    with contextlib.suppress(CheckpointError):
        Cohort.from_bytes(files.to_bytes(tensors, known | facts), [config])


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")  # torch, of a file that is not its own
def test_no_reader_runs_code(tmp_path, config):
    trace = tmp_path / "ran"
    bombs = [pickle.dumps(Bomb(trace), protocol) for protocol in range(6)]
    buffer = io.BytesIO()
    torch.save({"facts": torch.zeros(1), "x": Bomb(trace)}, buffer)
    bombs.append(buffer.getvalue())
    holder = io.BytesIO()
    np.save(holder, np.array([Bomb(trace)], dtype=object), allow_pickle=True)
    bombs.append(holder.getvalue())
    for number, bomb in enumerate(bombs):
        with pytest.raises(CheckpointError):
            Cohort.from_bytes(bomb, [config])
        for suffix in (".csv", ".parquet"):
            path = tmp_path / f"{number}{suffix}"
            path.write_bytes(bomb)
            with pytest.raises(DataError):
                RegimeMap.fit(read_runs(path), axes={"fraction": "linear"}, rule=SweepSpec.from_dict(_spec()).rule)
    launch = tmp_path / "cluster.yaml"
    launch.write_text(f"x: !!python/object/apply:os.mkdir ['{trace}']")
    with pytest.raises(ConfigError):
        read_launch_file(launch)
    assert not trace.exists()
    pickle.loads(bombs[0])
    assert trace.exists()


def _spec():
    return tomllib.loads(SPEC)


TENSORS = st.sampled_from(["flat", "state.first", "run.0.seen", "run.0.diverged"])


@fuzz(100)
@given(name=TENSORS, way=st.sampled_from(["gone", "flat", "short", "twice", "empty", "whole numbers", "half", "nan"]))
def test_a_checkpoint_with_a_tensor_of_another_form_is_read_or_refused(config, checkpoint, name, way):
    from grokcore.engine import checkpoint as files

    tensors, known = files.from_bytes(checkpoint)
    tensor = tensors.pop(name)
    ways = {
        "flat": tensor.reshape(-1),
        "short": tensor[..., :-1] if tensor.dim() else tensor,
        "twice": torch.cat([tensor.reshape(1, -1)] * 2),
        "empty": torch.zeros(0),
        "whole numbers": tensor.long(),
        "half": tensor.half(),
        "nan": tensor.double() * float("nan"),
    }
    if way in ways:
        tensors[name] = ways[way]
    with contextlib.suppress(CheckpointError):
        Cohort.from_bytes(files.to_bytes(tensors, known), [config]).advance()


# ---- Launch files ----------------------------------------------------------------------------------------------------


LAUNCH_KEYS = ("provider", "auth", "file_mounts", "max_workers", "cluster_name")


@FUZZ
@given(content=st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
@example(content=b"a: &a [*a, *a]")
@example(content=b"[" * 3000)
@example(content=b"2001-99-99")
@example(content=b"? {a: b}\n: c")
def test_a_launch_file_is_read_or_refused(tmp_path, content):
    path = tmp_path / "cluster.yaml"
    path.write_bytes(content)
    try:
        found = read_launch_file(path)
    except ConfigError as error:
        assert str(path) in str(error)  # noqa: PT017 - either way is right
    else:
        assert isinstance(found, dict)


@FUZZ
@given(changes=st.dictionaries(st.sampled_from(LAUNCH_KEYS), values))
@example(changes={"provider": {"type": "local", "head_ip": None}})
@example(changes={"provider": {"type": "local", "head_ip": "192.0.2.1", "worker_ips": 3}})
def test_a_launch_file_of_anything_is_complained_about_in_sentences(tmp_path, changes):
    found = {"cluster_name": "x", "provider": {"type": "local"}, **changes}
    complaints = [*schema_complaints(found), *file_complaints(found, tmp_path)]
    if not complaints and found["provider"].get("type") != "local":
        complaints += list(host_complaints(found))
    assert all(isinstance(complaint, str) and complaint for complaint in complaints)
