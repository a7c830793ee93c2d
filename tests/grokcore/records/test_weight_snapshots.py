"""Weight snapshots: measured later, a run gives the numbers it gave while it trained."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from grokcore import EarlyStopping, RunConfig, train
from grokcore.errors import CheckpointError
from grokcore.inspection.snapshot_measures import measure_snapshots, not_measured
from grokcore.records.weight_snapshots import SnapshotFolder, read_snapshot, snapshot_path, snapshot_steps
from grokcore.training import train_again


@pytest.fixture
def run(make_config, tmp_path):
    """Return a trained run, its folder, and the model under test."""
    (record,) = train([make_config(steps=40)], measures="full", on_snapshot=SnapshotFolder(tmp_path))
    return record, tmp_path


def test_weights_are_kept_at_the_steps_that_are_measured_and_say_what_they_are(run):
    record, folder = run
    measured = record.columns["step"][np.isfinite(record.columns["weight_norm"])]
    assert snapshot_steps(folder, record.run_id) == measured.tolist()
    with safe_open(snapshot_path(folder, record.run_id, 40), framework="pt") as file:
        facts = file.metadata()
    assert facts["run_id"] == record.run_id
    assert facts["step"] == "40"
    assert RunConfig.from_dict(json.loads(facts["config"])) == record.config


def test_measured_later_a_number_is_the_same_to_the_last_bit(make_config, model, tmp_path):
    configs = [make_config(model=model, steps=60, seed=seed) for seed in range(3)]
    record = train(configs, measures="full", on_snapshot=SnapshotFolder(tmp_path))[1]
    later = measure_snapshots(tmp_path, record.config, "full").set_index("step")
    then = record.curves.set_index("step").loc[later.index]
    assert "gradient_norm" in later.columns
    for name in later.columns:
        taken = np.isfinite(then[name].to_numpy())
        assert taken.sum() >= (len(taken) if name == "weight_norm" else 4)
        np.testing.assert_array_equal(later[name].to_numpy()[taken], then[name].to_numpy()[taken], err_msg=name)
    assert set(then.columns) - set(later.columns) - {"train_loss", "train_accuracy", "val_loss", "val_accuracy"} == {
        "update_size"
    }


def test_circuit_measures_are_there_and_what_cannot_be_taken_has_a_reason(run):
    record, folder = run
    table = measure_snapshots(folder, record.config, ["restricted_loss", "excluded_loss"], steps=[0, 40])
    assert list(table.columns) == [
        "step",
        "excluded_loss",
        "excluded_accuracy",
        "restricted_loss",
        "restricted_accuracy",
    ]
    assert np.isfinite(table.to_numpy()).all()
    reasons = not_measured(record.config, "circuit")
    assert "optimizer's state" in reasons["update_size"]
    assert "restricted_loss" not in reasons


def test_missing_foreign_and_damaged_weights_are_refused_with_what_to_do(run, make_config):
    record, folder = run
    other = make_config(seed=7)
    with pytest.raises(CheckpointError, match="--keep-weights"):
        snapshot_steps(folder, other.run_id)
    with pytest.raises(CheckpointError, match="no such file"):
        read_snapshot(folder, record.config, 41)
    path = snapshot_path(folder, record.run_id, 40)
    place = snapshot_path(folder, other.run_id, 40)
    place.parent.mkdir()
    place.write_bytes(path.read_bytes())
    with pytest.raises(CheckpointError, match="another configuration's"):
        read_snapshot(folder, other, 40)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_snapshot(folder, record.config, 40)
    save_file({"odd": torch.zeros(2)}, path, metadata={"run_id": record.run_id})
    with pytest.raises(CheckpointError, match="this model's tensors"):
        read_snapshot(folder, record.config, 40)


def test_a_run_trained_again_has_the_weights_it_had_to_its_own_end(make_config, tmp_path):
    config = make_config(fraction=0.9, optimizer__rate=2e-2, optimizer__decay=1.0, steps=1000)
    retire = EarlyStopping()
    (record,) = train([config], retire=retire, on_snapshot=SnapshotFolder(tmp_path / "first"))
    train_again(record, SnapshotFolder(tmp_path / "again"))
    steps = snapshot_steps(tmp_path / "first", record.run_id)
    assert steps == snapshot_steps(tmp_path / "again", record.run_id)
    assert steps[-1] == record.steps
    for step in (steps[0], steps[-1]):
        first, again = (read_snapshot(tmp_path / name, config, step) for name in ("first", "again"))
        assert all(torch.equal(first[name], again[name]) for name in first)
    norm = math.sqrt(sum(float(w.double().square().sum()) for w in again.values()))
    assert norm == pytest.approx(record.final["weight_norm"], rel=1e-12)
