"""Axes: coordinates and back, names short and long, zero as a category, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.runs.axes import Axis, column_of, features, make_axes
from grokcore.errors import DataError


@given(st.floats(0, 1), st.sampled_from(["linear", "log"]))
def test_value_undoes_unit(unit, scale):
    axis = Axis(name="x", scale=scale, low=0.01, high=20.0)
    assert axis.unit(axis.value(unit)) == pytest.approx(unit, abs=1e-9)


def test_the_grid_runs_from_end_to_end_equally_on_its_scale():
    grid = Axis(name="x", scale="log", low=1e-3, high=10.0).grid(5)
    assert grid == pytest.approx([1e-3, 1e-2, 1e-1, 1.0, 10.0])


def test_a_short_name_means_the_only_dotted_column_that_ends_so():
    assert column_of("decay", ["optimizer.decay", "fraction"]) == "optimizer.decay"
    with pytest.raises(DataError, match=r"optimizer.rate or probe.rate"):
        column_of("rate", ["optimizer.rate", "probe.rate"])
    with pytest.raises(DataError, match=r"Did you mean 'fraction'"):
        column_of("fracton", ["optimizer.decay", "fraction"])


def test_zero_on_a_logarithmic_axis_is_a_flag_beside_the_lower_edge():
    table = pd.DataFrame({"decay": [0.0, 0.1, 1.0]})
    (axis,) = make_axes(table, {"decay": "log"})
    assert (axis.zero, axis.low, axis.high) == (True, 0.1, 1.0)
    assert features([axis], table).tolist() == [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]


def test_asking_at_zero_where_no_run_was_is_refused():
    (axis,) = make_axes(pd.DataFrame({"decay": [0.1, 1.0]}), {"decay": "log"})
    with pytest.raises(DataError, match="no run is at 0"):
        features([axis], pd.DataFrame({"decay": [0.0]}))


@pytest.mark.parametrize(
    ("column", "scale", "words"),
    [
        ([1.0, 1.0, 1.0], "linear", "too few values to span an axis"),
        ([0.0, 0.0, 2.0], "log", "too few values"),
        ([-1.0, 1.0, 2.0], "log", "negative on a logarithmic axis"),
        ([1.0, np.nan, 2.0], "linear", "not a finite number"),
        (["a", "b", "c"], "linear", "not a finite number"),
        ([1.0, 2.0, 3.0], "cubic", 'use "linear" or "log"'),
    ],
)
def test_what_cannot_be_an_axis_is_refused_with_the_reason(column, scale, words):
    with pytest.raises(DataError, match=words):
        make_axes(pd.DataFrame({"x": column}), {"x": scale})


def test_all_complaints_come_at_once():
    with pytest.raises(DataError) as error:
        make_axes(pd.DataFrame({"x": [1.0, 1.0], "y": [-1.0, 1.0]}), {"x": "linear", "y": "log", "z": "log"})
    assert len(str(error.value).splitlines()) == 3
