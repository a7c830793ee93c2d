"""Milestones, regimes and what a record writes down."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokcore import REGIMES, ConfigError, Milestone, Outcome, Regime, RegimeRule, RunRecord, train
from grokcore.errors import DataError
from grokcore.records.milestones import first_passage


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from([0.5, 0.9, 1.0]))
def test_a_milestone_is_the_first_crossing_or_the_last_step_seen(accuracies, threshold):
    steps = list(range(0, 10 * len(accuracies), 10))
    milestone = first_passage(steps, accuracies, threshold)
    expected = next((s for s, a in zip(steps, accuracies, strict=True) if a >= threshold), None)
    assert milestone == (Milestone(False, steps[-1]) if expected is None else Milestone(True, expected))


@pytest.mark.parametrize(
    ("mem", "gen", "regime"),
    [
        (Milestone(False, 1000), Milestone(False, 1000), Regime.CONFUSION),
        (Milestone(True, 10), Milestone(False, 1000), Regime.MEMORIZATION),
        (Milestone(True, 10), Milestone(True, 900), Regime.GROKKING),
        (Milestone(True, 10), Milestone(True, 40), Regime.COMPREHENSION),
        (Milestone(True, 10), Milestone(True, 1001), Regime.MEMORIZATION),
        (Milestone(True, 1001), Milestone(True, 1500), Regime.CONFUSION),
    ],
)
def test_the_regimes_of_liu_et_al(mem, gen, regime):
    assert RegimeRule(budget=1000, gap=100).label(mem, gen) is regime
    assert RegimeRule(budget=1000, ratio=5).label(mem, gen) is regime


@given(st.integers(1, 2000), st.integers(1, 2000), st.booleans(), st.booleans(), st.integers(1, 2000))
def test_a_larger_budget_never_takes_a_milestone_away(t_mem, t_gen, mem, gen, budget):
    order = [Regime.CONFUSION, Regime.MEMORIZATION]
    a = RegimeRule(budget=budget, gap=100).label(Milestone(mem, t_mem), Milestone(gen, t_gen))
    b = RegimeRule(budget=budget + 500, gap=100).label(Milestone(mem, t_mem), Milestone(gen, t_gen))
    assert b not in order or order.index(b) >= (order.index(a) if a in order else 2)


def test_exactly_one_of_gap_and_ratio():
    for wrong in ({}, {"gap": 10, "ratio": 5}):
        with pytest.raises(ConfigError, match="exactly one"):
            RegimeRule(budget=100, **wrong)
    for threshold in (0, 1.1):
        with pytest.raises(ConfigError, match="threshold"):
            RegimeRule(budget=100, gap=1, threshold=threshold)


def test_a_record_survives_json_bit_for_bit(make_config):
    (record,) = train([make_config()])
    copy = RunRecord.from_json(record.to_json())
    assert copy.config == record.config
    assert copy.outcome == record.outcome
    assert copy.environment == record.environment
    for name in record.columns:
        np.testing.assert_array_equal(copy.columns[name], record.columns[name])
        assert copy.columns[name].dtype == record.columns[name].dtype


def test_infinite_and_missing_values_survive_json(make_config):
    columns = {
        "step": np.array([0, 1]),
        "train_loss": np.array([np.inf, np.nan]),
        "train_accuracy": np.array([0.0, -np.inf]),
    }
    record = RunRecord(config=make_config(), outcome=Outcome.DIVERGED, columns=columns)
    np.testing.assert_array_equal(RunRecord.from_json(record.to_json()).columns["train_loss"], [np.inf, np.nan])


@given(st.text() | st.sampled_from(["{}", "[]", '{"config": {}}', "null", '{"config":1,"columns":{"step":[1]}}']))
def test_what_is_no_record_is_refused_in_our_own_words(text):
    with pytest.raises((DataError, ConfigError)):
        RunRecord.from_json(text)


def test_a_row_has_identity_configuration_milestones_regime_and_finals(make_config):
    (record,) = train([make_config()])
    row = record.row(RegimeRule(budget=60, ratio=5))
    assert row["run_id"] == record.run_id
    assert row["optimizer.decay"] == 0.5
    assert row["task.name"] == "modular_addition"
    for split in ("train", "val"):
        for threshold in ("050", "090", "095", "099"):
            assert f"t_{split}_{threshold}" in row
            assert f"t_{split}_{threshold}_event" in row
    assert row["regime"] in {str(regime) for regime in REGIMES}
    assert row["t_mem"] == row["t_train_090"]
    assert row["weight_norm"] == record.columns["weight_norm"][-1]
    assert (row["steps"], row["last_step"]) == (60, 60)
    early = dataclasses.replace(record, columns={name: values[:3] for name, values in record.columns.items()})
    row = early.row(RegimeRule(budget=60, ratio=5))
    assert (row["steps"], row["last_step"]) == (60, early.steps)
    assert early.steps < 60


def test_every_outcome_has_its_sentence():
    assert len({outcome.sentence for outcome in Outcome}) == len(Outcome)


def test_curves_and_environment(make_config):
    (record,) = train([make_config()])
    assert list(record.curves.columns[:5]) == ["step", "train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    assert record.curves["step"].tolist()[:3] == [0, 1, 2]
    assert record.environment["threads"] == 1
    assert record.environment["device"] == "cpu"
    assert {"torch", "processor", "dtype", "python"} <= record.environment.keys()
