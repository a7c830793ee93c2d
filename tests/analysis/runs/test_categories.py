"""Which columns are categories, what their levels are, and which varying columns nothing explains."""

import numpy as np
import pandas as pd
import pytest

from analysis.runs.axes import Axis, are_powers, few_levels, make_axes
from analysis.runs.categories import (
    Category,
    category_column,
    chosen_categories,
    guessed_categories,
    level_code,
    level_rows,
    level_text,
    make_categories,
    unexplained,
    with_choices,
)
from analysis.runs.guessed_axes import scale_of
from grokcore.errors import DataError


def table(n=24, seed=0, **columns):
    rng = np.random.default_rng(seed)
    given = {name: np.resize(np.array(values, dtype=object), n) for name, values in columns.items()}
    return pd.DataFrame({"fraction": rng.uniform(0.2, 0.9, n), "t_mem": 5, "t_mem_event": True, **given})


def names(frame, categories=(), levels=()):
    return unexplained(frame, [Axis(name="fraction", scale="linear", low=0, high=1, levels=levels)], categories)


def test_cells_of_a_category_are_text_and_an_empty_one_is_none():
    cells = [None, float("nan"), pd.NA, True, np.False_, 2, 0.5, np.int64(3), " adamw "]
    assert [level_text(cell) for cell in cells] == ["none", "none", "none", "true", "false", "2", "0.5", "3", "adamw"]


def test_a_section_is_meant_by_its_name():
    assert category_column("transform", ["fraction", "transform.name", "transform.alpha"]) == "transform.name"
    assert Category(name="transform.name", levels=()).short == "transform"
    assert Category(name="accelerator", levels=()).short == "accelerator"


def test_levels_stand_in_order_with_none_first_and_an_unknown_one_is_answered_with_the_list():
    (category,) = make_categories(table(method=["b", "none", "a"]), ["method"])
    assert category.levels == ("none", "a", "b")
    with pytest.raises(DataError, match=r"method 'c'.*a, b, none"):
        category.level("c")


def test_every_run_is_at_one_level_and_levels_have_codes_apart():
    frame = table(method=["none", "a", "b"], loss_kind=["mse", "ce"])
    categories = make_categories(frame, ["method", "loss_kind"])
    rows = level_rows(frame, categories)
    assert sorted(np.concatenate(list(rows.values()))) == list(range(len(frame)))
    codes = {tuple(level_code(categories, level)) for level in rows}
    assert len(codes) == len(rows) == 6


def test_words_at_a_few_levels_are_guessed_to_be_categories_and_notes_ids_and_results_are_not():
    frame = table(
        method=["none", "fast"],
        **{"optimizer.name": ["adamw", "sgd", "sgd"], "notes": ["-", "x"], "state": ["finished", "crashed"]},
    ).assign(who=[f"run {i}" for i in range(24)], final_loss="low", seed=["0", "1"] * 12)
    assert guessed_categories(frame, ["fraction"]) == ["method", "optimizer.name"]


def test_a_column_that_follows_another_is_no_second_category():
    frame = table(method=["none", "fast"], method_label=["plain", "quick"])
    assert guessed_categories(frame, ["fraction"]) == ["method"]


def test_choices_of_words_and_tables_of_a_space_are_categories():
    frame = table(**{"transform.name": ["none", "ema", "ema"], "transform.alpha": [None, 0.9, 0.98]})
    tables = ["none", {"name": "ema", "alpha": 0.9}, {"name": "ema", "alpha": 0.98}]
    space = {"transform": tables, "fraction": {"low": 0.2, "high": 0.9}, "seed": [0, 1]}
    frame = with_choices(frame, space)
    assert chosen_categories(frame, space) == ["transform"]
    assert sorted(frame["transform"].unique()) == ["ema alpha 0.9", "ema alpha 0.98", "none"]


@pytest.mark.parametrize("column", ["dropout", "optimizer.beta", "method", "config.width", "flag"])
def test_a_column_that_varies_and_is_no_axis_is_named(column):
    values = {"method": ["none", "fast"], "flag": [True, False]}.get(column, [1.0, 2.0, 4.0])
    assert names(table(**{column: values})) == [column]


@pytest.mark.parametrize(
    "column", ["seed", "data_seed", "run_id", "val_loss", "final_accuracy", "Runtime", "t_val_090", "steps", "outcome"]
)
def test_seeds_results_and_bookkeeping_are_harmless(column):
    assert names(table(**{column: [1, 2, 3]})) == []


def test_a_column_that_a_category_or_an_axis_of_few_values_determines_is_explained():
    frame = table(method=["none", "fast"], alpha=[0.0, 0.98])
    assert names(frame) == ["method", "alpha"]
    assert names(frame, make_categories(frame, ["method"])) == []


def test_measures_of_our_own_tables_are_results_and_settings_are_not():
    ours = {"run_id": ["a"], "task.name": ["x"], "model.name": ["mlp"], "weight_norm": [1.0, 2.0], "dropout": [0, 0.1]}
    assert names(table(**ours)) == ["dropout"]


def test_an_axis_of_few_values_knows_them_and_powers_are_logarithmic():
    frame = table(**{"model.width": [16, 64]})
    (axis,) = make_axes(frame, {"width": "log"})
    assert axis.levels == (16.0, 64.0)
    assert few_levels(np.arange(7)) == ()
    assert scale_of(frame["model.width"]) == "log"
    assert [are_powers(v) for v in ([16, 64], [1, 2, 4, 8], [1, 10, 100], [0.25, 0.5, 1.0])] == [True] * 4
    assert [are_powers(v) for v in ([1, 2, 3], [0, 2, 4], [5], [0.3, 0.6], range(1, 40))] == [False] * 5


def test_an_axis_of_few_values_is_held_at_one_of_them():
    (axis,) = make_axes(table(width=[16, 64, 128]), {"width": "log"})
    assert axis.middle == 64
    (axis,) = make_axes(table(), {"fraction": "linear"})
    assert axis.middle == pytest.approx((axis.low + axis.high) / 2)
