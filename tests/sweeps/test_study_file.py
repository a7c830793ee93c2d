"""The study in its file: what Optuna opens is what the sweep has, while it runs and after, lost or damaged or not."""

import json
import math

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from grokcore.records.run_record import Outcome
from sweeps.driver import Driver
from sweeps.store.run_store import Store
from sweeps.study import CENSORED
from sweeps.tracking.study_file import FILE, StudyFile, write_study


def opened(path):
    return optuna.load_study(study_name=path.name, storage=JournalStorage(JournalFileBackend(str(path / FILE))))


def told(study):
    return [(t.number, t.state, t.values, t.params, t.user_attrs, t.intermediate_values) for t in study.trials]


@pytest.fixture
def outcome_of():
    return {0: Outcome.FAILED, 1: Outcome.STOPPED}


@pytest.fixture
def half(spec, pretend, tmp_path, outcome_of):
    """Return a store with 16 of 24 runs finished: the first failed, the second stopped."""
    with Store(spec, tmp_path) as store:
        driver = Driver(store, key=lambda _: "", width=lambda _: 24)
        configs = driver.next_cohort().configs
        records = []
        for place, config in enumerate(configs[:16]):
            record = pretend(config, outcome_of.get(place, Outcome.FINISHED))
            if place == 1:
                # It was stopped before it had generalised.
                record.columns["val_accuracy"][:] = 0.0
            records.append(record)
        driver.receive(records)
        yield store, records, [pretend(config) for config in configs[16:]]


def test_optuna_opens_a_sweep_that_runs_and_tells_its_trials_apart(half, spec):
    store, records, _ = half
    write_study(store.path, lambda run_id: f"http://mlflow/{run_id}")
    study = opened(store.path)
    assert study.metric_names == ["log10 t_gen"]
    assert study.user_attrs["rule"] == spec.rule.sentence()
    asked = store.asked()
    assert [(t.number, t.params, t.user_attrs["run_id"]) for t in study.trials] == [
        (place, dict(item.params), item.run_id) for place, item in enumerate(asked)
    ]
    assert [t.state for t in study.trials[16:]] == [TrialState.RUNNING] * 8
    by_id = {record.run_id: record for record in records}
    for trial in study.trials:
        record = by_id.get(trial.user_attrs["run_id"])
        if record is None:
            continue
        assert trial.user_attrs["mlflow"] == f"http://mlflow/{record.run_id}"
        assert trial.user_attrs["outcome"] == str(record.outcome)
        if record.outcome is Outcome.FAILED:
            assert (trial.state, trial.values) == (TrialState.FAIL, None)
            assert "regime" not in trial.user_attrs
            continue
        gen = record.milestone("val", 0.9)
        assert trial.user_attrs["censored"] is not gen.event
        assert trial.user_attrs["regime"] == record.verdict_under(spec.rule)
        assert list(trial.intermediate_values)[-1] == record.steps
        if record.outcome is Outcome.STOPPED:
            assert (trial.state, trial.user_attrs["censored"]) == (TrialState.PRUNED, True)
            continue
        assert trial.state is TrialState.COMPLETE
        assert trial.value == pytest.approx(math.log10(max(gen.step, 1)) + (0 if gen.event else CENSORED))
    kinds = {(t.state, t.user_attrs.get("censored")) for t in study.trials}
    assert len(kinds) == 5


def test_what_is_written_twice_lost_or_damaged_is_the_same_study(half):
    store, _, rest = half
    write_study(store.path)
    file = store.path / FILE
    whole, content = told(opened(store.path)), file.read_bytes()
    write_study(store.path)
    assert file.read_bytes() == content
    lines = content.splitlines(keepends=True)
    other = json.dumps(json.loads(lines[0]) | {"study_name": "another"}).encode() + b"\n"
    for damage in (None, b"", b"{}\n", content[:-7], content[:-300], other + b"".join(lines[1:]), content + b"[1]\n"):
        if damage is None:
            file.unlink()
        else:
            file.write_bytes(damage)
        write_study(store.path)
        assert told(opened(store.path)) == whole
    store.add(rest)
    write_study(store.path)
    assert told(opened(store.path))[:16] == whole[:16]
    assert {trial.state for trial in opened(store.path).trials[16:]} == {TrialState.COMPLETE}


def test_a_batch_is_one_write_whatever_it_holds(half, monkeypatch):
    store, records, _ = half
    writes = []
    append = JournalFileBackend.append_logs
    monkeypatch.setattr(JournalFileBackend, "append_logs", lambda self, logs: (writes.append(1), append(self, logs)))
    StudyFile(store.path).write(records)
    assert len(writes) == 1
