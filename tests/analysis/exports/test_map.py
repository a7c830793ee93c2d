"""An export reads back equal in every form, from a sweep's folder and from anyone's table."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import xarray

from analysis import RegimeMap, RegimeRule
from analysis.exports.map import export_map
from analysis.runs.sources import read_source
from grokcore.errors import ConfigError, DataError
from grokcore.records.regimes import REGIMES

NAMES = [str(regime) for regime in REGIMES]
RULE = RegimeRule(budget=3000, ratio=5.0)


@pytest.fixture(scope="module")
def exported(synthetic_sweep, tmp_path_factory):
    sweep = synthetic_sweep(64)
    return sweep, export_map(sweep, tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def fitted(exported):
    source = read_source(exported[0])
    return RegimeMap.fit(source.frame, source.scales, rule=source.default_rule, seed=0, box=source.box)


def test_every_form_is_written_and_nothing_else(exported):
    _, paths = exported
    out = paths["html"].parent
    assert {"png", "svg", "pdf", "csv", "parquet", "nc", "html", "definition"} <= set(paths)
    assert set(out.iterdir()) == set(paths.values())
    assert paths["png"].read_bytes().startswith(b"\x89PNG")
    assert paths["pdf"].read_bytes().startswith(b"%PDF")
    assert "<svg" in paths["svg"].read_text()


def test_grid_reads_back_equal_from_csv_parquet_and_netcdf(exported, fitted):
    _, paths = exported
    table = pd.read_parquet(paths["parquet"])
    pd.testing.assert_frame_equal(pd.read_csv(paths["csv"]), table)
    with xarray.open_dataset(paths["nc"]) as data:
        axes = ["fraction", "optimizer.decay", "optimizer.rate"]
        assert list(data["probability"].dims) == [*axes, "regime"]
        assert [str(name) for name in data["regime"].values] == NAMES
        np.testing.assert_allclose(data["probability"].values.reshape(-1, 4), table[NAMES], atol=1e-12)
        np.testing.assert_allclose(data["delay_mean"].values.ravel(), table["delay_mean"], atol=1e-12)
        assert data.attrs["rule"] == RULE.sentence()
    some = table.sample(200, random_state=0)
    # Propagation spreads labels over the points asked, so a subset is answered a little differently.
    np.testing.assert_allclose(fitted.probabilities(some)[NAMES], some[NAMES], atol=5e-3)
    assert (table["regime"] == table[NAMES].idxmax(axis=1)).all()


def test_boundaries_lie_where_the_two_regimes_are_equally_likely(exported, fitted):
    _, paths = exported
    table = pd.read_parquet(paths["boundaries_parquet"])
    pd.testing.assert_frame_equal(pd.read_csv(paths["boundaries_csv"]), table)
    edges = table[table["kind"] == "edge"]
    assert len(edges) > 50
    assert {"band50", "band90"} <= set(table["kind"])
    chance = fitted.probabilities(edges.drop(columns=["first", "second", "kind", "line"]))
    first = np.array([chance.loc[index, name] for index, name in edges["first"].items()])
    second = np.array([chance.loc[index, name] for index, name in edges["second"].items()])
    assert np.median(np.abs(first - second)) < 0.05


def test_surfaces_in_the_netcdf_lie_on_the_edge_too(exported, fitted):
    with xarray.open_dataset(exported[1]["nc"]) as data:
        vertices = pd.DataFrame(
            data["surface_memorization_grokking_vertices"].values, columns=[str(a) for a in data["axis"].values]
        )
        faces = data["surface_memorization_grokking_faces"].values
    assert faces.min() >= 0
    assert faces.max() < len(vertices)
    chance = fitted.probabilities(vertices)
    assert np.median(np.abs(chance["memorization"] - chance["grokking"])) < 0.12


def test_definition_says_what_made_the_map(exported):
    sweep, paths = exported
    definition = json.loads(paths["definition"].read_text())
    assert definition["rule"] == {"threshold": 0.9, "budget": 3000, "gap": None, "ratio": 5.0}
    assert definition["runs"] == 64
    assert definition["run_seeds"] == [0, 1, 2]
    assert [axis["name"] for axis in definition["axes"]] == ["fraction", "optimizer.decay", "optimizer.rate"]
    assert definition["sweep"]["name"] == "demo"
    assert definition["commands"][0] == f"grokmap sweep {sweep / 'spec.toml'}"
    assert "--budget 3000 --ratio 5" in definition["commands"][1]
    assert definition["environment"]["numpy"] == np.__version__
    assert definition["environment"]["runs: torch"] == "2.13.0"


def test_page_is_one_file_that_names_no_other(exported):
    page = exported[1]["html"].read_text()
    assert "default-src 'none'" in page
    # Namespaces of inline SVG are names, not addresses that are fetched.
    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:|#)""", page)
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|import)\s*\(", page)
    assert "<b>a & b</b>" not in page


@pytest.fixture
def coarse(monkeypatch):
    """Make the grid coarse, for tests that do not look at it."""
    monkeypatch.setattr("analysis.maps.grid.GRID_POINTS", 400)


@pytest.mark.usefixtures("coarse")
def test_exports_of_equal_runs_are_equal_bytes(synthetic_runs, tmp_path):
    runs = synthetic_runs(32, 0).drop(columns="optimizer.rate")
    first, second = (export_map(runs, tmp_path / name, RULE) for name in ("a", "b"))
    for name in ("png", "svg", "pdf", "csv", "parquet", "nc"):
        assert first[name].read_bytes() == second[name].read_bytes(), name


@pytest.mark.usefixtures("coarse")
def test_any_csv_with_axes_and_milestones_is_enough(synthetic_runs, tmp_path):
    runs = synthetic_runs(32, 1)[["fraction", "optimizer.decay", "t_mem", "t_mem_event", "t_gen", "t_gen_event"]]
    runs.rename(columns={"optimizer.decay": "decay"}).to_csv(tmp_path / "mine.csv", index=False)
    paths = export_map(tmp_path / "mine.csv", tmp_path / "out", RegimeRule(budget=2000, gap=300), style="paper")
    definition = json.loads(paths["definition"].read_text())
    assert {axis["name"]: axis["scale"] for axis in definition["axes"]} == {"fraction": "linear", "decay": "log"}
    assert definition["rule"]["gap"] == 300
    assert definition["thresholds"] == [0.9]
    assert "--budget 2000 --gap 300" in definition["commands"][-1]
    assert definition["commands"][-1].endswith("--style paper")


def test_an_axis_that_one_would_look_for_and_all_runs_share_is_named_on_the_map(synthetic_runs, tmp_path):
    frame = synthetic_runs(32, 2).drop(columns="optimizer.rate").assign(fraction=0.5)
    definition = json.loads(export_map(frame, tmp_path / "guessed", RULE)["definition"].read_text())
    assert definition["warnings"] == ["fraction is 0.5 in every run, so it is no axis of this map."]
    with pytest.raises(DataError, match="fraction: has too few values"):
        export_map(frame, tmp_path / "asked", RULE, axes={"fraction": "linear", "decay": "log"})


def test_one_axis_is_a_profile(synthetic_runs, tmp_path):
    paths = export_map(synthetic_runs(32, 2), tmp_path, RULE, axes={"decay": "log"})
    assert len(pd.read_csv(paths["csv"])) == 241
    assert not len(pd.read_csv(paths["boundaries_csv"]))


@pytest.mark.usefixtures("coarse")
@pytest.mark.usefixtures("coarse")
def test_a_paper_s_figures_have_their_captions_beside_them(synthetic_runs, tmp_path):
    runs = synthetic_runs(64, 0).drop(columns="optimizer.rate")
    paths = export_map(runs, tmp_path / "out", RULE, style="paper", width="89mm")
    assert set((tmp_path / "out").iterdir()) == set(paths.values())
    for name in ("map", "map-uncertainty", "map-laws"):
        caption = (tmp_path / "out" / f"{name}.txt").read_text()
        drawn = (tmp_path / "out" / f"{name}.svg").read_text()
        assert caption.split()[0] not in re.findall(r"<text[^>]*>([^<]*)", drawn)
        assert "runs" in caption
        assert f'width="{89 / 25.4 * 72:.5f}'[:10] in drawn
        figure = (tmp_path / "out" / f"{name}.tex").read_text()
        assert f"\\includegraphics{{{name}.pdf}}" in figure
        assert "figure*" not in figure
    assert RULE.sentence() in (tmp_path / "out" / "map.txt").read_text()
    assert RULE.sentence() not in (tmp_path / "out" / "map.svg").read_text()
    assert "tabular" in paths["laws_tables"].read_text()
    command = json.loads(paths["definition"].read_text())["commands"][-1]
    assert command.endswith("--style paper --width 89mm")


def test_zero_decay_is_a_row_of_its_own(synthetic_runs, tmp_path):
    runs = synthetic_runs(64, 3).drop(columns="optimizer.rate")
    for index in range(0, 64, 6):
        runs.loc[index, "optimizer.decay"] = 0.0
        for name in [c for c in runs.columns if c.startswith(("t_val", "t_gen"))]:
            runs.loc[index, name] = False if name.endswith("event") else 3000
    paths = export_map(runs, tmp_path, RULE)
    table = pd.read_parquet(paths["parquet"])
    none = table[table["optimizer.decay"] == 0]
    assert len(none) == table["fraction"].nunique()
    assert none["memorization"].mean() > 0.5
    assert table[table["optimizer.decay"] > 0]["optimizer.decay"].min() > 0.005


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"style": "poster"}, ConfigError, "unknown style 'poster'"),
        ({"width": "single"}, ConfigError, "give --style paper"),
        ({"style": "paper", "width": "wide"}, ConfigError, "--width wide: give single"),
        ({"style": "paper", "width": "5mm"}, ConfigError, "51 to 305 mm"),
        ({"x": "decay", "y": "decay"}, DataError, "two different axes"),
        ({"at": {"momentum": 1.0}}, DataError, "momentum"),
        ({"axes": {"momentum": "log"}}, DataError, "momentum"),
    ],
)
@pytest.mark.usefixtures("coarse")
def test_a_wrong_request_writes_nothing(synthetic_runs, tmp_path, change, error, says):
    with pytest.raises(error, match=says):
        export_map(synthetic_runs(32, 0), tmp_path / "out", RULE, **change)
    assert not (tmp_path / "out").exists()


def test_a_table_without_milestones_or_axes_says_so(tmp_path):
    with pytest.raises(DataError, match="no column t_mem"):
        export_map(pd.DataFrame({"fraction": np.linspace(0.1, 0.9, 9)}), tmp_path / "out")
    empty = pd.DataFrame({"t_mem": 1, "t_mem_event": True, "t_gen": 5, "t_gen_event": False}, index=range(9))
    with pytest.raises(DataError, match="which columns are the axes"):
        export_map(empty, tmp_path / "out")
