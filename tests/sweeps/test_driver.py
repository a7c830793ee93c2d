"""The driver: ask and tell without any process. Whatever happens outside, every run arrives, each once."""

import dataclasses
import random
import sys
from typing import ClassVar

import numpy as np
import pytest
from optuna.trial import TrialState

from analysis import RegimeMap
from grokcore.records.milestones import Milestone
from grokcore.records.run_record import Outcome
from sweeps.driver import Driver, SweepFailedError
from sweeps.samplers.base import SAMPLERS
from sweeps.spec.space import Choice
from sweeps.stopping.hazard import Hazard
from sweeps.store.reported_run import report
from sweeps.store.run_store import Asked, Store
from sweeps.study import milestones_of

STATES = (TrialState.COMPLETE, TrialState.FAIL)


def by_half(config):
    """Pretend that fraction below and above one half are two shapes."""
    return "low" if config.fraction < 0.5 else "high"


@pytest.fixture
def drive(spec, tmp_path):
    """Return a driver on the store of a spec; close the store by leaving the `with`."""

    class Driving:
        said: ClassVar[list[str]] = []

        def __init__(self, spec=spec, slots=2, extend=False):
            self.store = Store(spec, tmp_path, extend=extend)
            self.driver = Driver(
                self.store, key=by_half, width=lambda _: spec.width or 4, slots=lambda: slots, say=self.said.append
            )

        def __enter__(self):
            return self.driver

        def __exit__(self, *_):
            self.store.close()

    return Driving


def finish(driver, pretend):
    while (task := driver.next_cohort()) is not None:
        driver.receive([pretend(config) for config in task.configs])
        driver.ended(task.name)


def test_every_run_is_trained_stored_and_told_once(drive, spec, pretend):
    with drive() as driver:
        finish(driver, pretend)
        assert driver.finished
        assert len(driver.store.finished) == spec.runs
        assert [trial.state for trial in driver.study.trials] == [TrialState.COMPLETE] * spec.runs
        ids = [trial.user_attrs["run_id"] for trial in driver.study.trials]
        assert sorted(ids) == sorted(driver.store.finished)


def test_cohorts_have_one_shape_and_at_most_the_width(drive, pretend):
    with drive() as driver:
        sizes = []
        while (task := driver.next_cohort()) is not None:
            assert len({by_half(config) for config in task.configs}) == 1
            sizes.append(len(task.configs))
            driver.receive([pretend(config) for config in task.configs])
            driver.ended(task.name)
        assert max(sizes) == 4
        assert sum(sizes) == 24


def test_the_study_knows_the_milestones(drive, pretend):
    with drive() as driver:
        finish(driver, pretend)
        records = {record.run_id: record for record in driver.store.records()}
        for trial in driver.study.trials:
            record = records[trial.user_attrs["run_id"]]
            assert milestones_of(trial) == (record.milestone("train", 0.9), record.milestone("val", 0.9))


def test_a_driver_that_dies_anywhere_is_gone_on_from(drive, spec, pretend):
    """Kill the driver after every single event, and start another on what is on disk."""
    rng = random.Random(0)
    for _ in range(500):
        with drive() as driver:
            if driver.finished:
                break
            for _ in range(rng.randrange(4)):
                task = driver.next_cohort()
                if task is None:
                    break
                some = task.configs[: rng.randrange(len(task.configs) + 1)]
                driver.receive([pretend(config) for config in some])
                if len(some) == len(task.configs):
                    driver.ended(task.name)
    with drive() as driver:
        assert driver.finished
        assert driver.next_cohort() is None
        ids = [trial.user_attrs["run_id"] for trial in driver.study.trials]
        assert len(ids) == len(set(ids)) == spec.runs
        assert {trial.state for trial in driver.study.trials} == {TrialState.COMPLETE}


def test_a_sweep_that_goes_on_chooses_the_same_runs(drive, spec, changed, pretend):
    with drive() as driver:
        finish(driver, pretend)
        whole = [trial.params for trial in driver.study.trials]
    other = changed(spec, name="other")
    with drive(other) as driver:
        driver._ask(10)
    with drive(other) as driver:
        finish(driver, pretend)
        assert [trial.params for trial in driver.study.trials] == whole


def checkpoint(driver, task):
    path = driver.store.path / "checkpoints" / f"{task.name}.pt"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    return path


def test_a_cohort_with_a_checkpoint_goes_on_with_the_same_members(drive, pretend):
    with drive() as driver:
        task = driver.next_cohort()
        driver.receive([pretend(task.configs[0])])
        path = checkpoint(driver, task)
    with drive() as driver:
        again = driver.next_cohort()
        assert again == task
        assert path.exists()
        driver.receive([pretend(config) for config in again.configs])
        driver.ended(again.name)
        assert not path.exists()


def test_a_cohort_that_lost_its_worker_goes_on_as_it_was_as_often_as_the_sweep_retries(drive, spec, pretend):
    with drive() as driver:
        task = driver.next_cohort()
        driver.receive([pretend(task.configs[0])])
        path = checkpoint(driver, task)
        for _ in range(spec.retries):
            assert driver.lost(task.name)
            assert driver.next_cohort() == task
            assert path.exists()
        assert not driver.lost(task.name)
        driver.ended(task.name, "its worker died")
        assert not path.exists()
        # From then on each of its runs is tried alone.
        assert [len(driver.next_cohort().configs) for _ in task.configs[1:]] == [1] * (len(task.configs) - 1)


def test_a_cohort_with_nothing_left_to_do_is_not_gone_on_with(drive, pretend):
    with drive() as driver:
        task = driver.next_cohort()
        driver.receive([pretend(config) for config in task.configs])
        assert not driver.lost(task.name)
        assert driver.ended(task.name, "its worker died") == []


def test_runs_that_are_handed_out_once_more_are_another_cohort(drive, pretend):
    with drive(slots=1) as driver:
        first = driver.next_cohort()
        while (task := driver.next_cohort()) is not None:
            driver.receive([pretend(config) for config in task.configs])
            driver.ended(task.name)
        driver.ended(first.name)
        again = driver.next_cohort()
        assert again.configs == first.configs
        # Late checkpoints of the first are refused by its name.
        assert again.name != first.name


def test_one_bad_run_does_not_take_its_neighbours_with_it(drive, spec, pretend):
    with drive() as driver:
        bad = None
        while (task := driver.next_cohort()) is not None:
            bad = bad or task.configs[1].run_id
            if bad in [config.run_id for config in task.configs]:
                driver.ended(task.name, "ValueError: no")
                continue
            driver.receive([pretend(config) for config in task.configs])
            driver.ended(task.name)
        driver.close()
        records = {record.run_id: record for record in driver.store.records()}
        assert len(records) == spec.runs
        failed = [record for record in records.values() if record.outcome is Outcome.FAILED]
        assert [(record.run_id, record.reason) for record in failed] == [(bad, "ValueError: no")]
        assert sorted(trial.state for trial in driver.study.trials).count(TrialState.FAIL) == 1
    with drive() as driver:
        assert driver.finished


def test_if_nothing_works_the_sweep_gives_up_and_blames_no_run(drive):
    def fail(driver):
        while (task := driver.next_cohort()) is not None:
            driver.ended(task.name, "ModuleNotFoundError: No module named 'torch'")

    with drive() as driver:
        with pytest.raises(SweepFailedError, match="No module"):
            fail(driver)
        assert driver.store.finished == frozenset()


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS.names if name != "grid"])
def test_a_space_with_fewer_points_than_runs_is_filled_and_it_is_said_why_no_more(
    sampler, drive, spec, changed, pretend
):
    few = changed(
        spec,
        space={"decay": Choice(values=(0.1, 1.0)), "seed": Choice(values=(0, 1, 2, 3, 4))},
        run={**spec.run, "fraction": 0.5, "optimizer": {"name": "adamw", "rate": 0.01}},
        sampler=sampler,
        wave=4,
    )
    for _ in range(2):
        with drive(few) as driver:
            finish(driver, pretend)
            assert driver.finished
            assert len(driver.store.finished) == 10
            assert [run.state for run in driver.study.trials[:10]] == [TrialState.COMPLETE] * 10
    said = "10 runs, not 24: the space has no other points; widen it, or add values to its lists, for more runs."
    assert drive.said[-1] == said


def test_a_sweep_that_chose_a_run_twice_still_reaches_its_runs(drive, spec, pretend):
    with drive() as driver:
        driver._ask(10)
        driver.store.ask(
            [Asked(number=10, params=item.params, run_id=item.run_id) for item in driver.store.asked()[:3]]
        )
    with drive() as driver:
        finish(driver, pretend)
        assert driver.finished
        assert len(driver.store.finished) == spec.runs
        assert driver.store.complete


@pytest.mark.parametrize(
    ("first", "then"), [("boundary", "sobol"), *(("sobol", name) for name in SAMPLERS.names if name != "gp")]
)
def test_another_sampler_with_the_same_seed_chooses_no_run_again(first, then, drive, spec, changed, pretend):
    begun = changed(spec, sampler=first, sampler_options={"startup": 8} if first == "boundary" else {})
    with drive(begun) as driver:
        finish(driver, pretend)
    with drive(changed(begun, sampler=then, sampler_options={}, runs=40), extend=True) as driver:
        finish(driver, pretend)
        assert driver.finished
        assert len(driver.store.finished) == 40


def test_records_that_come_twice_or_late_change_nothing(drive, pretend):
    with drive() as driver:
        task = driver.next_cohort()
        records = [pretend(config) for config in task.configs]
        assert driver.receive(records) == records
        assert driver.receive(records) == []
        driver.ended(task.name)
        assert driver.receive(records) == []


def test_an_adaptive_sampler_is_asked_in_waves(drive, spec, changed, pretend):
    adaptive = changed(spec, sampler="tpe", wave=8)
    with drive(adaptive) as driver:
        driver.next_cohort()
        assert driver.asked == 8
        finish(driver, pretend)
        assert driver.asked == spec.runs


def test_near_the_end_cohorts_are_split_among_the_slots(drive):
    with drive(slots=24) as driver:
        assert len(driver.next_cohort().configs) == 1


def test_what_a_report_costs_does_not_grow_with_the_cohorts_that_are_out(drive, spec, changed, pretend):
    """Counted, not timed: the functions that a report without finished runs calls, at 4 cohorts and at 400."""

    def calls(runs):
        count = 0

        def counted(_, event, __):
            nonlocal count
            count += event in ("call", "c_call")

        with drive(changed(spec, name=f"out-{runs}", runs=runs, width=2), slots=runs) as driver:
            tasks = [driver.next_cohort() for _ in range(runs)]
            assert driver.running == runs
            sys.setprofile(counted)
            try:
                driver.receive([])
                assert driver.running == runs
            finally:
                sys.setprofile(None)
            driver.receive([pretend(tasks[0].configs[0])])
            driver.ended(tasks[1].name, "its worker died")
            assert driver.running == runs - 2
        return count

    assert calls(4) == calls(400)


def test_a_run_that_a_worker_reported_is_told_and_stored_as_its_record_says(drive, spec, pretend):
    with drive() as driver:
        task = driver.next_cohort()
        records = [pretend(config) for config in task.configs]
        reported = [driver.reported(report(record, spec.rule.threshold)) for record in records]
        assert all(run.config is config for run, config in zip(reported, task.configs, strict=True))
        assert driver.receive(reported) == reported
        late = driver.reported(report(records[0], 0.9))
        assert late.config == records[0].config
        assert driver.receive([late]) == []
        stored = list(driver.store.records())
        assert [run.to_json() for run in stored] == [record.to_json() for record in records]
        for run, record in zip(reported, records, strict=True):
            assert run.regime_under(spec.rule) == record.regime_under(spec.rule)
            assert run.milestone("val", 0.5) == record.milestone("val", 0.5)


def test_a_run_that_a_forecast_stopped_is_told_as_one_that_does_not_generalise_in_time(drive, spec, pretend):
    for ruled_out in (40, 0):
        told, until = [], ruled_out or 5
        with drive(dataclasses.replace(spec, name=f"until-{until}")) as driver:
            task = driver.next_cohort()
            record = pretend(task.configs[0], Outcome.STOPPED)
            keep = record.columns["step"] <= 5
            columns = {name: values[keep] for name, values in record.columns.items()}
            columns["val_accuracy"] = np.zeros(keep.sum())
            record = dataclasses.replace(record, columns=columns, ruled_out=ruled_out)
            driver.receive([driver.reported(report(record, 0.9))])
            told.append({t.user_attrs["run_id"]: milestones_of(t) for t in driver.study.trials}[record.run_id])
        with drive(dataclasses.replace(spec, name=f"until-{until}")) as driver:
            told.append({t.user_attrs["run_id"]: milestones_of(t) for t in driver.study.trials}[record.run_id])
        assert [gen for _, gen in told] == [Milestone(event=False, step=until)] * 2


def test_what_is_expected_of_a_wave_is_asked_of_the_map_by_which_it_was_chosen(
    drive, changed, pretend, spec, monkeypatch
):
    mapped, sizes, levelled = changed(spec, runs=128, wave=32, sampler="boundary", stopping="hazard"), [], []
    fit, again = RegimeMap.fit.__func__, RegimeMap.with_runs
    monkeypatch.setattr(
        RegimeMap,
        "fit",
        classmethod(lambda cls, table, *a, **k: (sizes.append(len(table)), fit(cls, table, *a, **k))[1]),
    )
    monkeypatch.setattr(RegimeMap, "with_runs", lambda self, table: (sizes.append(len(table)), again(self, table))[1])
    monkeypatch.setattr(Hazard, "level", lambda _, __, records, ___: levelled.append(len(list(records))) or 0.0)
    with drive(mapped) as driver:
        chances = {}
        late = driver.next_cohort()
        while (task := driver.next_cohort()) is not None:
            # The cohort of before ends when the next one is out: a wave is chosen while some of the last one run.
            chances |= {run_id: expected.chance for run_id, expected in task.expected.items()}
            driver.receive([pretend(config) for config in late.configs])
            driver.ended(late.name)
            late = task
    assert sum(chance is not None for chance in chances.values()) == 96
    # Each wave by all that were over, and the last one learned from 64 of them; none twice.
    first, second, learned, third = sizes
    assert 24 <= first < 32 < second < 64 == learned < third < 96
    assert levelled == [first, second]


def test_runs_are_judged_by_what_the_finished_ones_let_expect_and_by_the_same_after_a_kill(
    drive, changed, pretend, spec, monkeypatch
):
    judged, expected, generalised = changed(spec, runs=72, stopping="hazard"), {}, {}
    monkeypatch.setattr(Hazard, "level", lambda _, rule, records, __: len(list(records)) / rule.budget)
    with drive(judged) as driver:
        while len(expected) < 64:
            task = driver.next_cohort()
            assert set(task.expected) == {config.run_id for config in task.configs}
            expected |= task.expected
            records = [pretend(config) for config in task.configs]
            generalised |= {record.run_id: record.milestone("val", 0.9).event for record in records}
            driver.receive(records)
            driver.ended(task.name)
        lost = driver.next_cohort()
        driver.lost(lost.name)
        assert driver.next_cohort().expected == lost.expected
    first, later = list(expected)[:32], list(expected)[32:]
    assert all(expected[run_id] == (None, 0.0) for run_id in first)
    assert np.mean([(expected[run_id].chance > 0.5) == generalised[run_id] for run_id in later]) > 0.8
    assert {expected[run_id].level for run_id in later} == {32 / judged.rule.budget}
    with drive(judged) as driver:
        again = {}
        while not lost.expected.keys() <= again.keys():
            again |= driver.next_cohort().expected
        assert again.items() >= lost.expected.items()
