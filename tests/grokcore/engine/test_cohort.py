"""A run is exactly the run it would have been alone: laws of the cohort engine."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from grokcore import EarlyStopping, Outcome, RunConfig, train
from grokcore.data.bucketing import bucket, distinct_count
from grokcore.data.deduplication import examples_of
from grokcore.data.run_examples import RunExamples
from grokcore.engine.cohort import Cohort
from grokcore.engine.grouping import cohort_key
from grokcore.errors import CheckpointError, ConfigError


def finish(cohort, seconds=math.inf):
    records = []
    while not cohort.done:
        records += cohort.advance(seconds)
    return {record.run_id: record for record in records}


def same(a, b):
    assert a.outcome == b.outcome
    assert list(a.columns) == list(b.columns)
    for name in a.columns:
        np.testing.assert_array_equal(a.columns[name], b.columns[name], err_msg=name)


def neighbours(config: RunConfig, count: int) -> list[RunConfig]:
    """Make runs of the same bucket with other seeds, fractions, rates, decays and budgets."""
    found, n = [], 0
    while len(found) < count:
        n += 1
        other = RunConfig.from_dict(
            {
                **config.to_dict(),
                "fraction": config.fraction + 0.002 * (n % 5 - 2),
                "seed": 100 + n,
                "optimizer.rate": 1e-3 * (1 + n % 7),
                "optimizer.decay": 0.3 * (n % 4),
                "optimizer.warmup": n % 3 * 5,
                "steps": config.steps - (n % 4) * 7,
            }
        )
        if cohort_key(other) == cohort_key(config):
            found.append(other)
    return found


@pytest.mark.parametrize("batch", ["full", 16])
@pytest.mark.parametrize("size", [2, 8, 32])
def test_neighbours_change_no_bit(make_config, model, batch, size):
    config = make_config(model=model, batch=batch)
    (alone,) = finish(Cohort([config])).values()
    others = neighbours(config, size - 1)
    for place in (0, size // 2):
        crowd = [*others[:place], config, *others[place:]]
        same(finish(Cohort(crowd))[config.run_id], alone)


@pytest.mark.parametrize("batch", ["full", 16])
def test_a_run_paused_and_resumed_from_a_checkpoint_changes_no_bit(make_config, model, batch, tmp_path):
    configs = [make_config(model=model, batch=batch, seed=seed, steps=150) for seed in range(3)]
    undisturbed = finish(Cohort(configs))
    cohort, path, records, pauses = Cohort(configs), tmp_path / "cohort.pt", {}, 0
    while not cohort.done:
        records |= {record.run_id: record for record in cohort.advance(seconds=0.0)}
        cohort.save(path)
        cohort = Cohort.load(path, configs)
        pauses += 1
    assert pauses > 10
    assert records.keys() == undisturbed.keys()
    for run_id, record in records.items():
        same(record, undisturbed[run_id])


def test_a_checkpoint_of_a_half_finished_cohort_returns_no_record_twice(make_config, tmp_path):
    configs = [make_config(steps=steps) for steps in (10, 40)]
    cohort = Cohort(configs)
    first = []
    while not first:
        first = cohort.advance(seconds=0.0)
    cohort.save(tmp_path / "c.pt")
    rest = finish(Cohort.load(tmp_path / "c.pt", configs))
    assert [record.run_id for record in first] == [configs[0].run_id]
    assert list(rest) == [configs[1].run_id]


def test_a_checkpoint_of_other_runs_or_a_damaged_one_is_refused(make_config, tmp_path):
    configs, path = [make_config()], tmp_path / "c.pt"
    Cohort(configs).save(path)
    with pytest.raises(CheckpointError, match="other runs"):
        Cohort.load(path, [make_config(seed=1)])
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match="cannot be read"):
        Cohort.load(path, configs)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        Cohort.load(tmp_path / "none.pt", configs)


def test_runs_of_two_shapes_are_refused(make_config):
    with pytest.raises(ConfigError, match="one shape"):
        Cohort([make_config(), make_config(model__width=8)])


def test_members_leave_at_their_own_budget_and_are_evaluated_on_their_own_clock(make_config):
    long, short = make_config(steps=60), make_config(steps=17, seed=1)
    records = finish(Cohort([long, short]))
    assert records[short.run_id].steps == 17
    assert 17 not in records[long.run_id].columns["step"][records[long.run_id].columns["step"] < 20] or (
        17 in train([long])[0].columns["step"]
    )
    same(records[long.run_id], train([long])[0])


def test_the_number_of_threads_of_the_caller_does_not_matter(make_config):
    config = make_config()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        (one,) = train([config])
        torch.set_num_threads(2)
        (two,) = train([config])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    same(one, two)


def test_train_returns_records_in_order_for_mixed_shapes_and_equal_configurations(make_config):
    configs = [make_config(), make_config(fraction=0.8), make_config(model__width=8), make_config()]
    records = train(configs)
    assert [record.config for record in records] == configs


def test_a_run_that_blows_up_is_retired_as_diverged_and_its_neighbours_are_untouched(make_config):
    calm = make_config(model__activation="quadratic", model__depth=3)
    wild = make_config(model__activation="quadratic", model__depth=3, optimizer__rate=1e6, seed=1)
    records = finish(Cohort([wild, calm]))
    assert records[wild.run_id].outcome is Outcome.DIVERGED
    assert records[wild.run_id].steps < 60
    same(records[calm.run_id], train([calm])[0])


def test_a_run_leaves_early_only_when_asked_and_only_once_it_has_stayed_general(make_config):
    config = make_config(fraction=0.9, optimizer__rate=2e-2, optimizer__decay=1.0, steps=2000)
    (whole,) = train([config])
    (early,) = train([config], retire=EarlyStopping(accuracy=0.9))
    assert whole.outcome in (Outcome.FINISHED, Outcome.UNSTABLE)
    assert early.outcome is Outcome.RETIRED
    assert early.steps < whole.steps
    assert early.milestone("val", 0.9) == whole.milestone("val", 0.9)
    assert early.columns["val_accuracy"][-1] >= 0.9
    # The last row has every measure, so that a table of final values has no holes.
    assert all(math.isfinite(value) for value in early.final.values())


def test_a_stopped_run_is_censored_where_it_stopped(make_config):
    config = make_config(steps=500)
    cohort = Cohort([config])
    cohort.stop(config.run_id, "not worth it")
    (record,) = finish(cohort).values()
    assert (record.outcome, record.reason) == (Outcome.STOPPED, "not worth it")
    assert record.steps < 500
    assert not record.milestone("val", 0.99).event


def test_an_unstable_run_is_called_so(make_config):
    # Rates at the edge: accuracy reaches 0.9 and is below it at the end for some of so many, on any processor.
    rates, budgets, seeds = (0.1, 0.5, 1.0), (200, 300), range(6)
    records = train(
        make_config(optimizer__rate=r, steps=n, seed=s) for r, n, s in itertools.product(rates, budgets, seeds)
    )
    for record in records:
        lost = any(
            record.columns[f"{split}_accuracy"].max() >= 0.9 > record.columns[f"{split}_accuracy"][-1]
            for split in ("train", "val")
        )
        assert (record.outcome in (Outcome.UNSTABLE, Outcome.FORGOTTEN)) == lost
        assert (record.outcome is Outcome.FORGOTTEN) == record.forgetting(0.9).event
    assert any(record.outcome is Outcome.UNSTABLE for record in records)


def test_padding_depends_on_the_run_alone_and_wastes_little():
    for n in range(1, 5000):
        assert n <= bucket(n) <= 1.125 * n + 32
        assert bucket(n) % 32 == 0
    for n in range(2049, 20000, 97):
        assert bucket(n) <= 1.03 * n + 32


def test_summed_operands_are_computed_once_for_both_orders(make_config):
    assert distinct_count(make_config(fraction=0.99)) <= 13 * 14 // 2
    ordered = make_config(model__combine="concat")
    assert distinct_count(ordered) == ordered.train_examples
    # Subtraction gives the two orders different targets, so nothing is shared.
    minus = make_config(task__name="modular_subtraction")
    assert distinct_count(minus) == minus.train_examples


def test_minibatches_visit_every_example_once_an_epoch_in_an_order_of_its_own(make_config):
    config = make_config(batch=16, seed=3)
    run = RunExamples(config, examples_of(config))
    per_epoch = len(run.train_rows) // 16
    epochs = [np.concatenate([run.minibatch(e * per_epoch + i) for i in range(per_epoch)]) for e in range(3)]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == 16 * per_epoch
        assert set(epoch) <= set(run.train_rows)
    assert not np.array_equal(epochs[0], epochs[1])
    assert len({tuple(epoch) for epoch in epochs}) == 3
    # A minibatch depends on its number alone.
    again = RunExamples(config, examples_of(config))
    assert np.array_equal(again.minibatch(2 * per_epoch + 1), run.minibatch(2 * per_epoch + 1))
    other = RunExamples(make_config(batch=16, seed=4), examples_of(config))
    assert not np.array_equal(other.minibatch(0), run.minibatch(0))


def test_seeds_decide_split_weights_and_batches(make_config):
    a, b = train([make_config(seed=0), make_config(seed=1)])
    assert not np.array_equal(a.columns["train_loss"], b.columns["train_loss"])
    same(a, train([replace(a.config)])[0])
