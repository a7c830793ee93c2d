"""What a page carries of runs: milestones with their sign, columns by code, curves in units of common axes."""

import base64

import numpy as np
import pandas as pd
import pytest

from analysis.pages.page_runs import packed, run_curves, run_milestones
from analysis.runs.run_table import Runs


def unpacked(field):
    """Return the numbers that a field of a page stands for."""
    found = np.frombuffer(base64.b64decode(field["data"]), f"<{field['kind']}")
    return found * field["scale"] + field["offset"] if "scale" in field else found


def checked(mem, gen, **columns):
    """Return checked runs with these milestones, and whether each was reached."""
    events = {"t_mem_event": np.array(mem, bool), "t_gen_event": np.array(gen, bool)}
    table = pd.DataFrame(columns | events).assign(outcome="finished", ruled_out=0.0)
    return Runs(table=table, axes=(), thresholds=(0.9,), budget_limit=1000, warnings=())


def test_steps_that_were_not_reached_are_negative():
    found = run_milestones(checked(t_mem=[0.0, 30, 0], t_gen=[500.0, 900, 0], mem=[1, 1, 0], gen=[1, 0, 0]))
    assert unpacked(found["mem"]).tolist() == [0, 30, -0.5]
    assert unpacked(found["gen"]).tolist() == [500, -900, -0.5]
    assert found.keys() == {"mem", "gen"}


def test_steps_known_between_two_evaluations_say_the_first_at_which_they_may_be():
    runs = checked(t_mem=[100.0, 100], t_gen=[1000.0, 1000], mem=[1, 1], gen=[1, 0], t_gen_lower=[100.0, np.nan])
    found = run_milestones(runs)
    assert unpacked(found["gen_from"]).tolist() == [101, -1000]
    assert "mem_from" not in found


@pytest.fixture
def curves():
    steps = np.array([0, 1, 10, 100, 1000])
    parts = [
        pd.DataFrame(
            {
                "run_id": name,
                "step": steps[:count],
                "train_accuracy": np.linspace(0, 1, 5)[:count],
                "val_accuracy": np.linspace(0, 0.5, 5)[:count],
                "train_loss": np.geomspace(scale, 1e-4, 5)[:count],
                "val_loss": [np.nan, *np.geomspace(scale, 1e-2, 4)][:count],
                "norm": np.linspace(10, 20, 5)[:count],
            }
        )
        for name, count, scale in (("a", 5, 1.0), ("b", 3, 10.0))
    ]
    return pd.concat(parts, ignore_index=True)


def test_curves_of_all_runs_stand_on_the_same_axes(curves):
    runs = pd.DataFrame({"run_id": ["a", "none", "b"]})
    found = run_curves(runs, curves)
    assert found["start"] == [0, 5, 5, 8]
    assert found["measures"] == ["norm"]
    step = unpacked(found["columns"]["step"])
    np.testing.assert_allclose(step, [0, 0, 1 / 3, 2 / 3, 1, 0, 0, 1 / 3], atol=1e-4)
    accuracy = unpacked(found["columns"]["train_accuracy"])
    np.testing.assert_allclose(accuracy[:5], 0.03 + 0.94 * np.linspace(0, 1, 5), atol=1e-4)
    loss = unpacked(found["columns"]["train_loss"])
    assert np.all(np.diff(loss[:5]) < 0)
    assert loss[5] > loss[0], "the other run began with a larger loss"
    low, high = (dict(found["axes"]["loss"]["ticks"])[text] for text in ("0.001", "1"))
    np.testing.assert_allclose(np.interp([loss[0]], [low, high], [-3, 0]), [0], atol=1e-3)
    assert {tick for tick, _ in found["steps"]["ticks"]} == {"1", "10", "100", "1,000"}


def test_what_is_no_number_is_none(curves):
    found = run_curves(pd.DataFrame({"run_id": ["a"]}), curves)
    data = found["columns"]["val_loss"]
    codes = np.frombuffer(base64.b64decode(data["data"]), "<i2")
    assert (codes == -32768).tolist() == [True, False, False, False, False]


def test_a_measure_of_one_value_has_an_axis_around_it(curves):
    found = run_curves(pd.DataFrame({"run_id": ["a", "b"]}), curves.assign(norm=0.0))
    assert len(found["axes"]["norm"]["ticks"]) >= 2
    assert np.ptp(unpacked(found["columns"]["norm"])) == 0


def test_packed_numbers_come_back_to_three_digits():
    values = np.array([1e-3, 5.0, 1e3, np.inf])
    found = unpacked(packed(values))
    np.testing.assert_allclose(found[:3], values[:3], atol=1e3 / 65000)
