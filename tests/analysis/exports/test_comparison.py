"""A comparison is written whole, reads back equal, and says in its page what it says in its table."""

import base64
import json
import re

import numpy as np
import pandas as pd
import pytest

from analysis import RegimeRule
from analysis.exports.comparison import export_comparison
from grokcore.errors import ConfigError, DataError

RULE = RegimeRule(budget=10_000, ratio=6.0)


@pytest.fixture(scope="module")
def written(known, tmp_path_factory):
    """Compare runs with others whose fraction is .1 higher for the same times: the edge has moved by .1."""
    first = known.runs(64, 0).drop(columns="seed")
    second = known.runs(64, 1).drop(columns="seed")
    second["fraction"] = np.minimum(second["fraction"] + 0.1, 0.999)
    out = tmp_path_factory.mktemp("compared")
    return (*export_comparison(first, second, out, along="fraction", rule=RULE), out)


def test_the_shift_planted_is_the_shift_written(written):
    found, paths, _ = written
    values = json.loads(paths["json"].read_text())
    assert values["low"] <= 0.1 <= values["high"]
    assert values["low"] > 0
    assert values["shift"] == pytest.approx(found.shift)
    assert values["edge"] == ["memorization", "grokking"]
    assert values["along"] == "fraction"


def test_every_form_is_written_and_nothing_else(written):
    found, paths, out = written
    assert set(paths) == {"png", "svg", "pdf", "csv", "json", "html"}
    assert set(out.iterdir()) == set(paths.values())
    pd.testing.assert_frame_equal(pd.read_csv(paths["csv"]), found.table, check_dtype=False)


def test_the_page_says_the_finding_and_asks_nothing_of_the_network(written):
    found, paths, out = written
    page = paths["html"].read_text()
    assert found.sentence[1:].rstrip(".") in page
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert f"grokmap compare runs runs --out {out} --along fraction" in page
    assert RULE.sentence() in page.replace("&gt;", ">")


def test_both_maps_stand_side_by_side_and_each_picture_says_what_it_shows(written):
    _, paths, _ = written
    page = paths["html"].read_text()
    pictures = dict(
        re.findall(r'<figure class="card" id="(\w+)">.*?<img src="data:image/svg\+xml;base64,(\S+?)"', page, re.S)
    )
    assert list(pictures) == ["A", "B", "edges", "crossings"]
    assert len({base64.b64decode(picture) for picture in pictures.values()}) == 4
    said = re.findall(r'alt="([^"]+)"', page)
    assert said[:2] == ["Runs A: its regimes", "Runs B: its regimes"]
    assert said[2] == "The edge between memorization and grokking in both"
    for letter in "AB":
        assert f"<h2>{letter}: runs {letter}</h2>" in page
        assert f"</i>{letter}: runs {letter}</span>" in page


def test_maps_over_one_axis_stand_side_by_side_too(known, tmp_path):
    runs = [known.runs(48, seed).drop(columns=["seed", "optimizer.decay"]) for seed in (0, 1)]
    _, paths = export_comparison(*runs, tmp_path, along="fraction", rule=RULE)
    assert re.findall(r'<figure class="card" id="(\w+)">', paths["html"].read_text()) == ["A", "B", "crossings"]


def test_names_are_said_and_lines_are_in_order(written):
    found, paths, _ = written
    assert found.table["optimizer.decay"].is_monotonic_increasing
    drawn = paths["svg"].read_text()
    page = paths["html"].read_text()
    for letter in "AB":
        assert f">{letter}: runs {letter}<" in drawn
        assert f"<th>edge in runs {letter}</th>" in page
        assert f'<th scope="col">{letter}: runs {letter}</th>' in page


def test_a_paper_s_comparison_has_caption_and_table_beside_it(known, tmp_path, monkeypatch):
    monkeypatch.setattr("analysis.maps.comparison.RESAMPLES", 2)
    runs = known.runs(64, 0)
    found, paths = export_comparison(runs, runs, tmp_path, along="fraction", rule=RULE, style="paper")
    assert set(tmp_path.iterdir()) == set(paths.values())
    assert paths["txt"].read_text().startswith("Edge between memorization and grokking. A: ")
    assert "figure*" in paths["tex"].read_text()
    assert paths["table"].read_text().count(r" \\") == len(found.table) + 1
    assert json.loads(paths["json"].read_text())["command"].endswith(" --style paper")
    assert "Edge between memorization and grokking" not in paths["svg"].read_text()


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"along": "momentum"}, DataError, "unknown axis 'momentum'"),
        ({"regimes": ("memorisation", "grokking")}, DataError, "Did you mean 'memorization'"),
        ({"style": "poster"}, ConfigError, "unknown style"),
    ],
)
def test_a_wrong_request_writes_nothing(known, tmp_path, change, error, says):
    runs = known.runs(32, 0)
    with pytest.raises(error, match=says):
        export_comparison(runs, runs, tmp_path / "out", rule=RULE, **change)
    assert not (tmp_path / "out").exists()
