"""Axes are guessed only where a table leaves no doubt; what spoils a guess is named."""

import numpy as np
import pandas as pd
import pytest

from analysis.runs.sources import read_source
from grokcore.errors import DataError

N = 12
BASE = {
    "fraction": np.linspace(0.2, 0.9, N),
    "decay": np.geomspace(0.01, 10, N),
    "t_mem": [60] * N,
    "t_mem_event": [True] * N,
    "t_gen": [900] * N,
    "t_gen_event": [True] * N,
}


def table(**columns):
    return pd.DataFrame(BASE | columns)


def cells(*spoilt):
    return [*spoilt, *np.linspace(0.2, 0.9, N - len(spoilt)).tolist()]


@pytest.mark.parametrize("name", ["fraction", "decay", "lr", "optimizer.weight_decay", "Learning Rate"])
@pytest.mark.parametrize(
    ("spoilt", "shown"), [(["half"], "'half' (row 0)"), (["?", ""], "'?' (row 0)"), ([[0.5]], "'[0.5]' (row 0)")]
)
def test_a_column_called_like_an_axis_that_is_not_all_numbers_is_refused_with_the_cell(name, spoilt, shown):
    frame = table(**{name: pd.Series(cells(*spoilt), dtype=object)})
    with pytest.raises(DataError) as error:
        _ = read_source(frame).scales
    assert f"column {name}: {shown} is not a number" in str(error.value)


@pytest.mark.parametrize(
    "values",
    [
        [f"{10 + i}%" for i in range(N)],
        [f"10^{-i}" for i in range(N)],
        pd.date_range("2026", periods=N),
        pd.to_timedelta(np.arange(N), unit="s"),
        np.arange(N) + 1j,
    ],
    ids=["percent", "powers", "dates", "durations", "complex"],
)
def test_an_axis_of_no_numbers_at_all_does_not_vanish(values):
    with pytest.raises(DataError, match=r"column rate: .* \(row 0\) is not a number \(12 of 12 rows\)"):
        _ = read_source(table(rate=values)).scales


def test_numbers_stored_as_categories_or_text_are_numbers():
    for kind in ("category", "string", object):
        frame = table(decay=pd.Series(BASE["decay"]).astype(str).astype(kind))
        assert read_source(frame).scales == {"fraction": "linear", "decay": "log"}
    assert read_source(table(decay=pd.Categorical(BASE["decay"]))).scales == {"fraction": "linear", "decay": "log"}


def test_words_at_a_few_levels_are_a_category_whatever_the_column_is_called():
    assert read_source(table(rate=["slow", "fast"] * 6)).scales["rate"] == "categorical"
    assert read_source(table(flag=[True, False] * 6)).scales["flag"] == "categorical"


def test_a_row_left_empty_on_an_axis_is_refused_too():
    from analysis.runs.run_table import check_runs

    source = read_source(table(decay=pd.Series(cells(None), dtype=object)))
    with pytest.raises(DataError, match=r"column decay: 'nan' \(row 0\) is not a finite number"):
        check_runs(source.frame, source.scales, 0.9)


def test_results_are_no_axes():
    frame = table(val_loss=np.arange(N), train_acc=np.arange(N) / N, runtime=np.arange(N), grad_norm=np.arange(N))
    assert read_source(frame).scales == {"fraction": "linear", "decay": "log"}
    frame = frame.rename(columns={"fraction": "alpha", "decay": "beta"})
    assert read_source(frame).scales == {"alpha": "linear", "beta": "log"}


@pytest.mark.parametrize("path", [True, False])
def test_where_no_guess_is_possible_the_way_to_say_it_fits_the_door(tmp_path, path):
    frame = table(**{f"x{i}": np.arange(N) + i for i in range(5)}).drop(columns=["fraction", "decay"])
    frame.to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(DataError) as error:
        _ = read_source(tmp_path / "runs.csv" if path else frame).scales
    assert "Found x0, x1, x2, x3, x4" in str(error.value)
    assert ("--axis" in str(error.value)) == path
    assert ("axes=" in str(error.value)) != path


def test_a_wide_scale_is_logarithmic_without_overflow():
    frame = table(rate=np.geomspace(1e-300, 1e300, N))
    assert read_source(frame).scales["rate"] == "log"
