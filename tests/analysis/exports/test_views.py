"""A map's own methods: pictures on anyone's axes, tables, xarray and pages, asked in any usual way."""

import sys
from html import unescape

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis import RegimeMap, RegimeRule
from grokcore.errors import DataError

RULE = RegimeRule(budget=1000, ratio=5)


def runs(levels=("none",)):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"fraction": rng.uniform(0.2, 0.9, 40), "optimizer.decay": 10 ** rng.uniform(-2, 1, 40)})
    table["transform.name"] = np.resize(levels, 40)
    gen = 200 * table["optimizer.decay"] ** -0.3 / np.maximum(table["fraction"] - 0.3, 1e-3)
    table = table.assign(t_mem=30, t_mem_event=True, t_gen=np.minimum(gen, 1000).round(), t_gen_event=gen < 1000)
    return table


@pytest.fixture(scope="module")
def plane():
    return RegimeMap.fit(runs(), {"fraction": "linear", "decay": "log"}, rule=RULE)


@pytest.fixture(scope="module")
def levels():
    axes = {"fraction": "linear", "decay": "log", "transform.name": "categorical"}
    return RegimeMap.fit(runs(("none", "<fast>")), axes, rule=RULE)


def test_points_are_asked_by_keyword_dict_dicts_or_table(plane):
    table = pd.DataFrame({"fraction": [0.25, 0.8], "optimizer.decay": [1.0, 1.0]})
    expected = plane.probabilities(table).to_numpy()
    ways = [
        plane.probabilities(fraction=[0.25, 0.8], decay=1),
        plane.probabilities({"fraction": [0.25, 0.8], "optimizer.decay": 1}),
        plane.probabilities([{"fraction": 0.25, "decay": 1}, {"fraction": 0.8, "decay": 1}]),
        plane.at(table)[["confusion", "memorization", "grokking", "comprehension"]],
    ]
    for found in ways:
        assert np.array_equal(found.to_numpy(), expected)
    assert plane.regimes({"fraction": 0.25}).tolist() == ["memorization"]
    middle = plane.at(fraction=0.8)
    assert middle["optimizer.decay"].tolist() == [plane.axis("decay").middle]
    assert 30 * 0.7 < middle["t_mem"].item() < 30 / 0.7 < middle["t_gen"].item()


def test_points_that_cannot_be_are_sentences(plane, levels):
    with pytest.raises(DataError, match="Did you mean 'fraction'"):
        plane.at(fractoin=0.5)
    with pytest.raises(DataError, match="Give one value, or as many for each axis"):
        plane.probabilities(fraction=[0.1, 0.2], decay=[1, 2, 3])
    with pytest.raises(DataError, match="no points were given"):
        plane.at([])
    with pytest.raises(DataError, match="say which is meant, as transform=none"):
        levels.at(fraction=0.5)
    assert levels.at({"transform.name": ["none", "<fast>"]})["transform.name"].tolist() == ["none", "<fast>"]


def test_pictures_go_on_given_axes_and_come_back(plane, levels):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plane.plot(left) is left
    assert plane.plot_uncertainty(right, kind="seeds") is right
    assert left.get_xlabel() == "training fraction"
    assert left.images
    assert right.images
    assert levels.plot(left, at={"transform.name": "none"}) is left
    with pytest.raises(DataError, match="say which is meant"):
        levels.plot(left)
    with pytest.raises(DataError, match="unknown kind of uncertainty 'noise'"):
        plane.plot_uncertainty(kind="noise")


def test_new_pictures_are_pyplots_own_one_axes_a_panel(plane, levels):
    from matplotlib import pyplot

    pyplot.switch_backend("agg")
    assert plane.plot() is pyplot.gcf().axes[0]
    assert levels.plot_uncertainty().shape == (2,)
    pyplot.close("all")


def test_a_map_over_one_axis_has_a_profile_and_no_plane():
    line = RegimeMap.fit(runs(), {"fraction": "linear"}, rule=RULE)
    axes = Figure().subplots()
    assert line.plot(axes) is axes
    assert line.boundaries().empty
    assert "<img" in line._repr_html_()
    with pytest.raises(DataError, match="alone has no plane"):
        line.plot_uncertainty(axes)


def test_tables_xarray_and_page(plane, levels, tmp_path):
    table = plane.boundaries()
    assert set(table["kind"]) == {"edge", "band50", "band90"}
    assert plane.to_xarray()["probability"].sum("regime").round(6).min() == 1
    assert dict(levels.to_xarray().sizes)["transform.name"] == 2
    page = levels.page()
    assert page.save(tmp_path / "map.html").read_text(encoding="utf-8") == page.text
    frame = page._repr_html_()
    assert 'srcdoc="&lt;!doctype html' in frame
    assert sys.getsizeof(frame) < 1.2 * len(page.text), "marimo shows no output that takes more than 8 MB"
    assert unescape(frame.partition('srcdoc="')[2].removesuffix('"></iframe>')) == page.text
    html = levels._repr_html_()
    assert ("<fast>" in html, html.startswith("<img")) == (False, True)
