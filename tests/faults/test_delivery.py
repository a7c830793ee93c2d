"""Faults that need no host: the same record twice, a full disk for the results, and clocks that are wrong."""

import errno
import os
import time

import optuna
import pytest

from grokcore import train
from grokcore.engine.cohort import Cohort
from grokcore.engine.grouping import cohort_key
from grokcore.errors import DataError
from grokcore.records.regimes import RegimeRule
from sweeps.driver import Driver
from sweeps.spec.space import Range
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.run_store import Store, read_records
from sweeps.store.tables import write_tables
from sweeps.whole_sweep import SweepOptions, run_sweep


@pytest.fixture
def spec():
    return SweepSpec(
        name="small",
        run={
            "task": {"name": "modular_addition", "modulus": 7},
            "model": {"name": "mlp", "width": 8},
            "optimizer": {"name": "adamw", "betas": [0.9, 0.98]},
            "steps": 40,
        },
        space={"fraction": Range(low=0.3, high=0.9), "decay": Range(low=0.01, high=10, log=True)},
        rule=RegimeRule(budget=40, ratio=5.0),
        runs=12,
        width=3,
    )


def driver_of(store):
    return Driver(store, key=cohort_key, width=lambda _: 3, slots=lambda: 2)


def test_a_cohort_that_is_delivered_twice_counts_once_everywhere(spec, tmp_path):
    with Store(spec, tmp_path) as store:
        driver = driver_of(store)
        while (task := driver.next_cohort()) is not None:
            records = train(task.configs)
            assert len(driver.receive(records)) == len(records)
            # The worker died after its report had arrived: another one trains and reports the same again.
            assert driver.receive(records[:1]) == []
            assert driver.receive(train(task.configs)) == []
            driver.ended(task.name)
        assert driver.finished
        told = driver.study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
        assert len(told) == len({trial.number for trial in told}) == 12
        runs = write_tables(store.path, spec.rule)
        assert runs["run_id"].is_unique
        assert len(runs) == 12
        assert len(list(read_records(store.path))) == 12


def test_a_record_that_arrives_after_its_cohort_was_given_up_is_still_taken_once(spec, tmp_path):
    with Store(spec, tmp_path) as store:
        driver = driver_of(store)
        task = driver.next_cohort()
        records = train(task.configs)
        driver.receive(records[:1])
        driver.ended(task.name, "its worker died")
        # Late, from a host that was cut off and came back, while others train the same runs again.
        assert len(driver.receive(records)) == len(records) - 1
        while (again := driver.next_cohort()) is not None:
            driver.receive(train(again.configs))
            driver.ended(again.name)
        assert driver.finished
        assert len(list(read_records(store.path))) == 12


@pytest.mark.ray
@pytest.mark.slow
def test_a_full_disk_ends_a_sweep_in_a_sentence_and_the_same_command_goes_on(spec, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "local")
    options = SweepOptions(results=tmp_path, map=False, mlflow=False)
    room, sync = iter(range(4)), os.fsync  # the specification, what was asked for, two reports

    def full(descriptor):
        if next(room, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match=r"No space left on device\. Make room .* the same command then goes on"):
            run_sweep(spec, options)
    result = run_sweep(spec, options)
    assert result.complete
    assert result.runs["run_id"].is_unique
    assert len(result.runs) == 12


@pytest.mark.parametrize("skew", [-86_400.0, 86_400.0])
def test_a_host_whose_clock_is_a_day_off_makes_the_same_records(spec, monkeypatch, skew):
    configs = [spec.whole_space.config({"fraction": 0.5, "optimizer.decay": 0.1 * k}) for k in (1, 2)]
    right = [record.to_json() for record in train(configs)]
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + skew)
    cohort = Cohort(configs)
    records = []
    while not cohort.done:
        records += cohort.advance(seconds=0.0)
        # The checkpoint was written by a host whose clock is right.
        monkeypatch.setattr(time, "time", clock)
        cohort = Cohort.from_bytes(cohort.to_bytes(), configs)
        monkeypatch.setattr(time, "time", lambda: clock() + skew)
    assert sorted(record.to_json() for record in records) == sorted(right)


def test_a_clock_that_jumps_does_not_end_a_sweep(spec, tmp_path, monkeypatch):
    ticks = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 1e9 - 3600.0 * next(ticks))
    with Store(spec, tmp_path) as store:
        driver = driver_of(store)
        while (task := driver.next_cohort()) is not None:
            driver.receive(train(task.configs))
            driver.ended(task.name)
        assert driver.finished
