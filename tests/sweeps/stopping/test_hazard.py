"""Hazard stopping: verdicts follow from a run's own past, survive a kill, are audited, and are reproduced."""

import dataclasses
import json

import numpy as np
import pytest

from analysis.forecast.hazard_rule import Verdict
from grokcore.engine.cohort import Cohort
from grokcore.errors import ConfigError
from grokcore.records.regimes import RegimeRule
from grokcore.records.run_record import UNDECIDED, Outcome, RunRecord
from grokcore.run_config import RunConfig
from grokcore.training import train_again
from sweeps.finished_runs.stopped import audited, stopping_report
from sweeps.spec.space import Choice
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.stopping.base import STOPPING, judge_of, told
from sweeps.stopping.hazard import Hazard
from sweeps.store.reported_run import ReportedRun, report
from sweeps.study import told_of

RULE = RegimeRule(budget=1500, ratio=5)
CONFIGS = [
    RunConfig.from_dict(
        {
            "task": {"name": "random_labels", "modulus": 7},
            "model": {"name": "mlp", "width": 24},
            "optimizer": {"name": "adamw", "rate": 0.01, "decay": decay},
            "fraction": 0.5,
            "steps": 1500,
            "seed": seed,
        }
    )
    for decay in (0.1, 1.0)
    for seed in range(2)
]


def trained(judge, configs=CONFIGS, pause=None):
    """Train a cohort; with `pause` it is killed at that step and goes on from its checkpoint in another."""
    cohort, records = Cohort(configs, judge=judge), []
    while not cohort.done:
        records += cohort.advance(seconds=0)
        if pause is not None and cohort.step >= pause and not cohort.done:
            left = [run.config for run in cohort.runs]
            cohort, pause = Cohort.from_bytes(cohort.to_bytes(), left, judge=judge), None
    return {record.run_id: record for record in records}


@pytest.fixture(scope="module")
def undisturbed():
    return trained(Hazard(chance=0.1, audit=0).judge(RULE))


def test_random_labels_are_stopped_and_are_no_memorization(undisturbed):
    assert all(record.outcome is Outcome.STOPPED for record in undisturbed.values())
    for record in undisturbed.values():
        row = record.row(RULE)
        assert row["regime"] == UNDECIDED
        assert not row["t_gen_event"]
        assert row["t_gen"] == record.steps < RULE.budget
        assert "chance to generalise by step 1,500" in record.reason
        assert row["ruled_out"] == 1500
        assert RunRecord.from_json(record.to_json()).ruled_out == 1500
        assert row["ruled_out_accuracy"] == RULE.threshold
        assert RunRecord.from_json(record.to_json()).word == (1500, RULE.threshold)


def test_a_record_from_before_the_field_says_in_its_reason_until_when(undisturbed):
    record = next(iter(undisturbed.values()))
    old = {name: value for name, value in json.loads(record.to_json()).items() if name != "ruled_out"}
    assert RunRecord.from_json(json.dumps(old)).ruled_out == 1500
    older = {name: value for name, value in old.items() if name != "ruled_out_accuracy"}
    assert RunRecord.from_json(json.dumps(older)).word == (1500, 0.9)


def test_a_killed_and_continued_cohort_and_other_company_stop_the_same_runs_at_the_same_steps(undisturbed):
    for other in (
        trained(Hazard(chance=0.1, audit=0).judge(RULE), pause=60),
        {k: v for one in CONFIGS for k, v in trained(Hazard(chance=0.1, audit=0).judge(RULE), [one]).items()},
    ):
        assert {k: (r.steps, r.reason) for k, r in other.items()} == {
            k: (r.steps, r.reason) for k, r in undisturbed.items()
        }


def test_a_stopped_run_is_reproduced_to_its_last_step(undisturbed):
    record = next(iter(undisturbed.values()))
    again = train_again(record)
    assert again.columns["step"].tolist() == record.columns["step"].tolist()
    assert again.columns["val_loss"].tolist() == record.columns["val_loss"].tolist()
    assert (again.outcome, again.reason, again.word) == (record.outcome, record.reason, record.word)


def test_an_audited_run_takes_its_budget_and_says_where_it_would_have_been_stopped(undisturbed):
    config = CONFIGS[0]
    (record,) = trained(Hazard(chance=0.1, audit=1).judge(RULE), [config]).values()
    assert record.outcome is Outcome.FINISHED
    assert record.steps == config.steps
    assert record.reason == f"audited: {undisturbed[config.run_id].reason}"
    assert record.ruled_out == config.steps


def test_the_report_counts_false_alarms_among_audited_runs_alone(undisturbed):
    import pandas as pd

    (audited,) = trained(Hazard(chance=0.1, audit=1).judge(RULE), CONFIGS[:1]).values()
    rows = [record.row(RULE) for record in list(undisturbed.values())[1:]]
    assert "is not known" in stopping_report(pd.DataFrame(rows), RULE.budget)
    for event, rate in ((False, "0.0%"), (True, "100.0%")):
        table = pd.DataFrame([*rows, audited.row(RULE) | {"t_gen_event": event}])
        said = stopping_report(table, RULE.budget)
        assert said.startswith("3 of 4 runs were stopped early")
        assert f"rate of false alarms {rate}" in said


def test_an_audit_counts_runs_that_memorise_after_all_beside_those_that_generalise():
    import pandas as pd

    why = "audited: " + Verdict(step=400, chance=0.01, budget=1500, bound=0.04).sentence
    became = {  # (t_mem, memorised, t_gen, generalised): what the audit says of it
        (90, True, 1500, False): (False, False, False),
        (90, True, 1200, True): (True, False, False),
        (900, True, 1500, False): (False, True, True),
        (900, True, 1400, True): (True, True, True),
        (1500, False, 1500, False): (False, True, False),
        (1600, True, 1700, True): (False, True, False),
    }
    table = pd.DataFrame(list(became), columns=["t_mem", "t_mem_event", "t_gen", "t_gen_event"])
    table = table.assign(outcome="finished", reason=why, ruled_out=1500, steps=2000, last_step=2000)
    assert list(audited(table).itertuples(index=False, name=None)) == list(became.values())
    said = stopping_report(table, 1500)
    assert "of 6 audited runs that would have been stopped, 2 generalised after all" in said
    assert "of 4 of them that had not memorised 2 did after all (rate of false alarms 50.0%)" in said


def test_the_share_that_is_audited_is_the_one_asked_for():
    judge = Hazard(audit=0.05).judge(RULE)
    drawn = sum(judge.audited(dataclasses.replace(CONFIGS[0], seed=seed)) for seed in range(2000))
    assert 60 <= drawn <= 140


def test_a_rule_travels_as_text_and_none_stops_nobody():
    assert judge_of(told("none", {}, RULE)) is None
    assert json.loads(told("hazard", {"chance": 0.1}, RULE))["options"] == {"chance": 0.1}
    assert judge_of(told("hazard", {"audit": 1.0}, RULE)).audited(CONFIGS[0])
    assert set(STOPPING.names) >= {"none", "hazard"}


def test_a_forecaster_of_another_threshold_and_one_that_is_no_file_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"accuracy of 0\.9, and the rule says 0\.99"):
        Hazard().judge(RegimeRule(budget=100, ratio=5, threshold=0.99))
    with pytest.raises(ConfigError, match="cannot be read as a forecaster"):
        Hazard(forecaster=str(tmp_path / "none.parquet"))


def test_a_sweep_of_a_task_that_the_forecaster_knows_nothing_of_is_refused():
    spec = {
        "name": "parity",
        "runs": 8,
        "rule": RULE,
        "space": {"fraction": Choice(values=(0.4, 0.8))},
        "stopping": "hazard",
    }
    run = {
        "task": {"name": "parity", "bits": 8, "samples": 100},
        "model": {"name": "mlp", "width": 24},
        "optimizer": {"name": "adamw"},
        "steps": 1500,
    }
    with pytest.raises(ConfigError, match="learned from operations and knows nothing of Boolean functions"):
        SweepSpec(run=run, **spec)
    assert SweepSpec(run=run, **spec | {"stopping": "none"}).judge is None


def test_a_study_takes_the_word_at_the_forecasts_accuracy_and_above_and_of_memorising_where_that_was_asked():
    config = CONFIGS[0]
    columns = {"step": np.array([0, 40, 63]), "train_accuracy": np.array([0.1, 0.6, 0.93]), "val_accuracy": np.zeros(3)}
    ended = {"outcome": Outcome.STOPPED, "reason": "a forecast", "ruled_out": 1500}
    seen = {  # (forecast's accuracy, threshold): steps of t_mem and t_gen
        (0.9, 0.5): (40, 63),
        (0.9, 0.9): (63, 1500),
        (0.9, 0.95): (63, 1500),
        (0.95, 0.9): (63, 63),
        (0.95, 0.95): (1500, 1500),
    }
    for (accuracy, threshold), steps in seen.items():
        record = RunRecord(config=config, columns=columns, **ended, ruled_out_accuracy=accuracy)
        for run in (record, ReportedRun.of(report(record, 0.9), config)):
            _, mem, gen = told_of(run, threshold)
            assert (mem.step, gen.step) == steps
            assert not gen.event
