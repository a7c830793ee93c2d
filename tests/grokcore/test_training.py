"""train: runs in, records out, whatever the device can hold at once."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from grokcore import RunConfig, train, training
from grokcore.engine.cohort import Cohort
from grokcore.engine.width_tuning import Tuning
from grokcore.errors import ConfigError
from grokcore.records.run_record import RunRecord
from grokcore.training import train_again
from tests.gpu.paper import OnCpu


class Small(OnCpu):
    """A card with memory for two runs at a time, whatever was predicted; `begun` are the cohorts it was given."""

    def __init__(self, most=2):
        super().__init__()
        self.most, self.begun = most, []


@pytest.fixture
def card(monkeypatch):
    """Return a card that runs out of memory in the middle of a cohort's life."""
    card = Small()
    advance = Cohort.advance

    def told(cohort, seconds):
        card.begun.append((len(cohort.runs), cohort.step))
        if len(cohort.runs) > card.most and cohort.step >= card.late:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return advance(cohort, seconds if cohort.step >= card.late else 1e-9)

    card.late = 0
    # Which width is best is not the processor's to say that plays the card here.
    monkeypatch.setattr(training, "tuned", lambda *_, wanted, layout="full_table": Tuning(layout, wanted))
    monkeypatch.setattr(Cohort, "advance", told)
    return card


def runs(make_config, count=5):
    return [make_config(seed=seed, fraction=0.4 + 0.1 * seed, steps=150) for seed in range(count)]


def close(one, other):
    assert one.outcome == other.outcome
    for name, values in one.columns.items():
        np.testing.assert_allclose(values, other.columns[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_fractions_and_seeds_are_one_cohort_where_the_whole_table_is_laid_out(make_config, card):
    card.most = 99
    records = train(runs(make_config), card, measures="none")
    assert {count for count, _ in card.begun} == {5}
    assert [record.config.fraction for record in records] == pytest.approx([0.4, 0.5, 0.6, 0.7, 0.8])
    assert {record.environment["layout"] for record in records} == {"full_table"}


def test_a_cohort_that_does_not_fit_is_halved(make_config, card, caplog):
    configs = runs(make_config)
    with caplog.at_level(logging.WARNING, "grokcore"):
        records = train(configs, card, measures="none")
    assert "5 runs at a time were too many for the device's memory: now 3" in caplog.text
    card.most = 99
    for one, other in zip(records, train(configs, card, measures="none"), strict=True):
        close(one, other)


def test_halves_go_on_from_the_last_copy(make_config, card, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    card.late = 20
    train(runs(make_config, 4), card, measures="none")
    first = [step for count, step in card.begun if count == 2]
    assert first
    assert min(first) >= 20


def test_a_lone_run_without_memory_is_refused(make_config, card):
    card.most = 0
    with pytest.raises(ConfigError, match="a run alone does not fit"):
        train(runs(make_config, 2), card, measures="none")


def test_a_run_is_trained_again_where_its_device_is_not(make_config):
    (record,) = train([make_config()], measures="none")
    assert train_again(record).columns["val_loss"].tobytes() == record.columns["val_loss"].tobytes()
    elsewhere = replace(record, environment={**record.environment, "device": "cuda:7", "layout": "full_table"})
    assert train_again(elsewhere).columns["val_loss"].tobytes() == record.columns["val_loss"].tobytes()


def test_two_threads_that_train_change_no_bit(make_config):
    configs = [[make_config(seed=seed, model={"name": "mlp", "width": 64}, steps=200)] for seed in range(4)]
    alone = [train(config)[0] for config in configs]
    threads_before = torch.get_num_threads()
    found = {}
    threads = [
        threading.Thread(target=lambda i=i: found.update({i: train(configs[i])[0]})) for i in range(len(configs))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.get_num_threads() == threads_before
    for i, record in enumerate(alone):
        assert found[i].columns["train_loss"].tobytes() == record.columns["train_loss"].tobytes()
        assert found[i].environment["threads"] == 1


def test_a_record_knows_where_each_of_its_steps_was_made():
    config = RunConfig.from_dict(
        {
            "task": {"name": "modular_addition", "modulus": 5},
            "model": {"name": "mlp", "width": 4},
            "optimizer": "adamw",
            "fraction": 0.5,
            "steps": 10,
        }
    )
    (record,) = train([config], measures="none")
    here = {"processor": "A", "torch": "1"}
    there = {"processor": "B", "torch": "2", "from_step": 40, "earlier": [{**here, "from_step": 0}]}
    moved = replace(record, environment=there)
    assert moved.environment_at() == {"processor": "B", "torch": "2"}
    assert moved.environment_at(41)["processor"] == "B"
    assert [moved.environment_at(step)["processor"] for step in (0, 1, 40)] == ["A", "A", "A"]
    back = RunRecord.from_json(moved.to_json())
    assert back.environment_at(40) == here
