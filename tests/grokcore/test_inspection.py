"""Inspection: what the inside of a run looked like, for residues, groups and neither."""

import numpy as np
import pytest

from grokcore import train
from grokcore.inspection.inspection import inspection, measured, measured_path
from grokcore.records.weight_snapshots import SnapshotFolder

TASKS = {
    "frequency": {"name": "modular_addition", "modulus": 11},
    "irreducible": {"name": "group_composition", "group": "S3"},
    "singular direction": {"name": "toy_addition"},
    "degree": {"name": "parity", "bits": 6, "relevant": 2, "samples": 60},
}


@pytest.mark.parametrize("kind", TASKS)
def test_a_portrait_has_what_its_task_has(make_config, tmp_path, kind):
    (record,) = train([make_config(task=TASKS[kind], steps=30)], on_snapshot=SnapshotFolder(tmp_path))
    found = inspection(tmp_path, record)
    assert found.spectrum_name == kind
    assert found.spectrum.shape[0] == len(found.steps)
    assert np.isfinite(found.spectrum).all()
    assert found.spectrum.min() >= 0
    assert found.before in found.steps
    assert found.after == 30
    assert bool(found.keys) == (kind == "frequency")
    symbols = record.config.task.table.symbols
    for plane in found.planes:
        assert plane.before.shape == plane.after.shape == (symbols, 2)
        assert sorted(plane.colours) == list(range(symbols)) or kind != "frequency"
    assert (found.influences is None) == (kind != "degree")
    assert "neuron" in found.damage
    assert ("frequency" in found.damage) == (kind == "frequency")
    assert {"weight_norm", "val_accuracy"} <= set(found.measures.columns)


def test_before_and_after_are_the_networks_of_those_steps(make_config, tmp_path):
    (record,) = train([make_config(steps=30)], on_snapshot=SnapshotFolder(tmp_path))
    found = inspection(tmp_path, record)
    assert not np.array_equal(found.planes[0].before, found.planes[0].after)
    assert not np.array_equal(found.damage["neuron"][0], found.damage["neuron"][1])


def test_what_was_measured_before_is_not_measured_again_and_the_rest_is_added(make_config, tmp_path):
    (record,) = train([make_config(steps=10)], on_snapshot=SnapshotFolder(tmp_path))
    first = measured(tmp_path, record, "weight_norm")
    path = measured_path(tmp_path, record.run_id)
    path.parent.mkdir()
    first.assign(weight_norm=-1.0).to_parquet(path)
    both = measured(tmp_path, record, "weight_norm,effective_rank")
    assert (both["weight_norm"] == -1).all()
    assert both["effective_rank"].notna().all()
    anew = measured(tmp_path, record, "weight_norm", anew=True)
    assert anew["weight_norm"].equals(first["weight_norm"])


def test_the_circle_of_a_product_is_one_of_logarithms(make_config, tmp_path):
    task = {"name": "modular_multiplication", "modulus": 11}
    (record,) = train([make_config(task=task, steps=30)], on_snapshot=SnapshotFolder(tmp_path))
    found = inspection(tmp_path, record)
    assert found.spectrum.shape[1] == 5
    logs = {pow(2, j, 11): j for j in range(10)}
    plane = found.planes[0]
    k = int(plane.name.split()[-1])
    assert [int(colour) for colour in plane.colours] == [k * j % 10 for j in range(10)]
    assert len(plane.after) == len(logs), "zero has no logarithm"
