"""Sources: the box of a map is the sweep's own, for ranges and for choices, under whole names and short ones."""

import numpy as np
import pandas as pd
import pytest

from analysis import RegimeMap
from analysis.runs.axes import make_axes
from analysis.runs.run_table import check_runs
from analysis.runs.sources import read_source
from grokcore.errors import DataError

SPEC = """name = "s"
runs = 16
[run]
steps = 3000
[space]
fraction = { low = 0.1, high = 0.95 }
decay = { low = 0.001, high = 100.0, log = true }
"model.width" = [16, 64, 256]
optimizer = [{ name = "adamw" }, { name = "sgd" }]
[rule]
budget = 3000
ratio = 5.0
"""


@pytest.fixture
def sweep(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "run_id": [f"{i:016x}" for i in range(16)],
            "fraction": rng.uniform(0.3, 0.8, 16),
            "optimizer.decay": 10 ** rng.uniform(-2, 1, 16),
            "model.width": rng.choice([16, 64], 16),
            "t_mem": 50,
            "t_mem_event": True,
            "t_gen": [900] * 8 + [3000] * 8,
            "t_gen_event": [True] * 8 + [False] * 8,
        }
    )
    frame.to_parquet(tmp_path / "runs.parquet")
    (tmp_path / "spec.toml").write_text(SPEC)
    return tmp_path


def test_the_box_is_the_sweeps_own_not_the_runs_extremes(sweep):
    source = read_source(sweep)
    assert source.box == {"fraction": (0.1, 0.95), "optimizer.decay": (0.001, 100.0), "model.width": (16, 256)}
    assert source.guess == ""
    axes = check_runs(source.frame, source.scales, 0.9, source.box).axes
    assert {axis.name: (axis.low, axis.high) for axis in axes} == source.box


def test_a_map_keeps_its_box_under_another_rule_and_other_runs(sweep):
    source = read_source(sweep)
    fitted = RegimeMap.fit(source.frame, {"fraction": "linear"}, rule=source.default_rule, box=source.box)
    for one in (fitted, fitted.under(source.rule_with(ratio=2.0)), fitted.resampled(np.arange(12))):
        assert (one.axes[0].low, one.axes[0].high) == (0.1, 0.95)


def test_runs_beyond_the_box_widen_it_and_zero_is_no_end_of_a_logarithmic_axis():
    table = pd.DataFrame({"x": [0.5, 2.0], "decay": [0.1, 1.0]})
    x, decay = make_axes(table, {"x": "linear", "decay": "log"}, {"x": (0.0, 1.0), "decay": (0.0, 10.0)})
    assert (x.low, x.high) == (0.0, 2.0)
    assert (decay.low, decay.high) == (0.1, 10.0)


def test_a_rule_that_cannot_be_used_is_named_with_its_file(sweep):
    (sweep / "spec.toml").write_text(SPEC.replace("budget = 3000", "bugdet = 3000"))
    with pytest.raises(DataError, match=r"spec\.toml: its rule cannot be used"):
        _ = read_source(sweep).default_rule


def test_values_beyond_what_can_be_drawn_are_refused():
    for cells, scale in (([1.0, 1e308], "linear"), ([1e-200, 1.0], "log"), ([-1e308, 1e308], "linear")):
        with pytest.raises(DataError, match="sizes up to 1e"):
            make_axes(pd.DataFrame({"x": cells}), {"x": scale})
