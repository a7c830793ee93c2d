"""A cohort on a worker: halved where memory is too small, kept soon after a loss, its checkpoints sent in parts."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from grokcore import train
from grokcore.engine.cohort import Cohort
from grokcore.records.regimes import RegimeRule
from grokcore.records.run_record import RunRecord
from sweeps.execution import checkpoint_uploader, trainable
from sweeps.execution.trainable import CohortTrainable
from sweeps.stopping.base import told
from sweeps.store.checkpoint_store import CheckpointStore


class Remote:
    """An actor that lives in this process: `actor.method.remote(...)` calls it."""

    def __init__(self, actor):
        self._actor = actor

    def __getattr__(self, name):
        return SimpleNamespace(remote=getattr(self._actor, name))


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Return the checkpoint store of a sweep without a storage that all hosts see."""
    actor = CheckpointStore(str(tmp_path), str(tmp_path))
    monkeypatch.setattr(trainable.ray, "get", lambda value: value)
    monkeypatch.setattr(trainable.ray, "get_actor", lambda _: Remote(actor))
    return actor


@pytest.fixture
def configs(spec):
    space = spec.whole_space
    return [
        space.config({"fraction": 0.6, "optimizer.decay": 0.1, "optimizer.rate": 0.01, "seed": i}) for i in range(3)
    ]


def worker(configs, **settings):
    """Return a worker that was given a cohort."""
    members = json.dumps([config.to_dict() for config in configs])
    given = {
        "cohort": "0" * 16,
        "members": members,
        "device": "cpu",
        "layout": "bucketed",
        "retire": False,
        "measures": "none",
    }
    given |= {
        "keep_weights": False,
        "threshold": 0.9,
        "checkpoint_seconds": 1e6,
        "components": {},
        "storage": None,
        "checkpoint_store": "x",
        "stopping": told("none", {}, RegimeRule(budget=40, ratio=5.0)),
        "expected": "{}",
    }
    made = object.__new__(CohortTrainable)
    made.setup(given | settings)
    return made


def finish(made):
    """Train to the end; return the records."""
    records = []
    while True:
        report = made.step()
        records += [RunRecord.from_json(values["record"]) for values in report["records"]]
        if report["done"]:
            return records


def same(records, configs):
    right = {record.run_id: record for record in train(configs, measures="none")}
    assert sorted(record.run_id for record in records) == sorted(right)
    for record in records:
        columns = right[record.run_id].columns
        assert all(np.array_equal(record.columns[name], columns[name]) for name in columns)


@pytest.mark.usefixtures("store")
def test_a_cohort_that_does_not_fit_is_halved_and_goes_on_from_its_checkpoint(configs, monkeypatch):
    made, widths, steps = worker(configs), [], []
    advance = Cohort.advance

    def tight(self, seconds):
        widths.append(len(self.runs))
        steps.append(self.step)
        if len(self.runs) > 1 and self.step > 0:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return advance(self, seconds)

    while made._cohort.step < 10:
        made._cohort.advance(seconds=0.0)
    reached = made._cohort.step
    made._keep()
    with monkeypatch.context() as patch:
        patch.setattr(Cohort, "advance", tight)
        records = finish(made)
    same(records, configs)
    assert sorted(set(widths)) == [1, 2, 3]
    assert min(steps) == reached, "what was done before is not done again"


@pytest.mark.usefixtures("store")
def test_a_run_that_does_not_fit_alone_is_the_cohorts_error(configs, monkeypatch):
    from grokcore.errors import ConfigError

    def full(self, seconds):  # noqa: ARG001
        raise torch.OutOfMemoryError("CUDA out of memory")

    made = worker(configs[:1])
    monkeypatch.setattr(Cohort, "advance", full)
    with pytest.raises(ConfigError, match="a run alone does not fit"):
        made.step()


def test_after_a_loss_the_first_stretch_is_kept_at_once(store, configs, monkeypatch):
    monkeypatch.setattr(trainable, "FIRST_SECONDS", 0.0)
    first = worker(configs)
    assert store.fetch_part("0" * 16, 0, 10) is None
    del first  # the worker dies before it reports anything
    seen = 0
    for _ in range(4):
        made = worker(configs)
        assert made._cohort.step == seen
        made.step()
        assert made._cohort.step > seen, "no life without progress"
        seen = made._cohort.step
    same(finish(worker(configs)), configs)


def test_checkpoints_larger_than_a_part_arrive_whole(store, monkeypatch):
    monkeypatch.setattr(checkpoint_uploader, "PART_BYTES", 7)
    monkeypatch.setattr(checkpoint_uploader.ray, "get", lambda value: value)
    uploader = checkpoint_uploader.CheckpointUploader("a" * 16, Remote(store), None)
    assert uploader.fetch() is None
    for content in (b"", b"1234567", bytes(range(100))):
        uploader.upload(content)
        assert uploader.fetch() == content
    # Parts of a worker that another one has replaced, and of a cohort that is over, change nothing.
    store.save_part("a" * 16, "old", 0, b"half", False)
    uploader.upload(b"new")
    store.save_part("a" * 16, "old", 4, b"rest", True)
    assert uploader.fetch() == b"new"
    store.forget("a" * 16)
    uploader.upload(b"late")
    assert uploader.fetch() is None
