"""Categories are axes: each level has a map of its own, never one over all; levels share where that predicts better."""

import numpy as np
import pandas as pd
import pytest

from analysis import RegimeMap, RegimeRule
from analysis.exports.comparison import export_comparison
from analysis.exports.map import export_map
from analysis.figures import laws, profile, regime_map, uncertainty
from analysis.maps.comparison import compare
from grokcore.errors import DataError

RULE = RegimeRule(budget=3000, ratio=5.0)
AXES = {"fraction": "linear", "decay": "log", "method": "categorical"}


def pooled(edges, n=48, seed=0, noise=0.02):
    """Return runs that grok beyond a fraction of their method's own, whatever the decay."""
    rng = np.random.default_rng(seed)
    parts = []
    for method, edge in edges.items():
        fraction = rng.uniform(0.2, 0.9, n)
        beyond = fraction > edge
        gen = np.where(beyond, 1000 * 10 ** (noise * rng.standard_normal(n)), 3000).round()
        parts.append(
            pd.DataFrame({
                "fraction": fraction, "decay": 10 ** rng.uniform(-2, 1, n), "method": method, "t_mem": 100,
                "t_mem_event": True, "t_gen": gen, "t_gen_event": beyond,
            })
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def fitted():
    return RegimeMap.fit(pooled({"none": 0.8, "fast": 0.3}), AXES, rule=RULE)


def edge_of(one, **at):
    (curve,) = one.boundary("memorization", "grokking", x="fraction", y="decay", at=at).curves
    return np.median(curve[:, 0])


def test_each_level_has_its_edge_where_it_is(fitted):
    assert edge_of(fitted, method="none") == pytest.approx(0.8, abs=0.04)
    assert edge_of(fitted, method="fast") == pytest.approx(0.3, abs=0.04)
    assert fitted.warnings == ()


def test_a_pooled_column_is_named(fitted):
    pooled_map = RegimeMap.fit(fitted.source, {"fraction": "linear", "decay": "log"}, rule=RULE)
    assert any("method varies too" in warning for warning in pooled_map.warnings)
    assert "Warning: method varies too" in regime_map.info(pooled_map, resolution=11).caption


def test_points_are_answered_by_the_maps_of_their_levels_in_their_order(fitted):
    points = pd.DataFrame({"fraction": [0.5, 0.5, 0.85, 0.25], "decay": 0.1, "method": ["fast", "none"] * 2})
    points.index = [7, 3, 5, 1]
    found = fitted.probabilities(points)
    assert list(found.index) == [7, 3, 5, 1]
    assert list(fitted.regimes(points)) == ["grokking", "memorization", "grokking", "memorization"]
    for level in ("fast", "none"):
        own = points[points["method"] == level]
        pd.testing.assert_frame_equal(
            found.loc[own.index], fitted.level({"method": level}).probabilities(own.drop(columns="method"))
        )
    assert len(fitted.chance_to_generalise(points, 100)) == 4
    assert fitted.milestones(points)["t_mem_mean"].notna().all()


def test_a_level_must_be_said_and_known(fitted):
    with pytest.raises(DataError, match=r"levels of method \(fast, none\)|levels of method \(none, fast\)"):
        fitted.boundary("memorization", "grokking", x="fraction", y="decay")
    with pytest.raises(DataError, match=r"method 'fats'.*Did you mean 'fast'"):
        fitted.level({"method": "fats"})
    with pytest.raises(DataError, match="no column method"):
        fitted.probabilities(pd.DataFrame({"fraction": [0.5], "decay": [0.1]}))


def test_levels_that_differ_in_noise_alone_share_and_those_that_differ_in_all_do_not():
    same = RegimeMap.fit(pooled({"a": 0.5, "b": 0.5, "c": 0.5}, n=16), AXES, rule=RULE)
    assert same.levels.shared
    assert same.levels.gain > 0
    assert "share one model" in same.weight_sentence
    assert edge_of(same, method="b") == pytest.approx(0.5, abs=0.05)


def test_a_level_of_few_runs_is_carried_by_the_others():
    frame = pd.concat([pooled({"a": 0.5}), pooled({"b": 0.5}, n=5, seed=3)], ignore_index=True)
    found = RegimeMap.fit(frame, AXES, rule=RULE)
    assert found.levels.shared
    assert edge_of(found, method="b") == pytest.approx(0.5, abs=0.08)
    assert "too few runs" in found.weight_sentence


def test_figures_have_a_panel_for_each_level(fitted):
    info = regime_map.info(fitted, resolution=15)
    assert [panel.title for panel in info.panels] == ["method none", "method fast"]
    assert sum(len(panel.runs) for panel in info.panels) == 96
    assert "Method: none, fast." in info.caption
    assert len(regime_map.info(fitted, at={"method": "fast"}, resolution=15).panels) == 1
    uncertainty.draw(info)
    one = RegimeMap.fit(fitted.source, {"fraction": "linear", "method": "categorical"}, rule=RULE)
    assert [dict(panel.level) for panel in profile.info(one).panels] == [{"method": "none"}, {"method": "fast"}]


def test_two_levels_of_one_map_are_compared(fitted, tmp_path):
    none, fast = fitted.level({"method": "none"}), fitted.level({"method": "fast"})
    found = compare(none, fast, regimes=("memorization", "grokking"), along="fraction", resamples=4)
    assert found.shift == pytest.approx(-0.5, abs=0.05)
    path = tmp_path / "runs.csv"
    fitted.source.to_csv(path, index=False)
    levels = {"method": "none"}, {"method": "fast"}
    found, paths = export_comparison(path, path, tmp_path / "out", along="fraction", at=levels)
    assert found.shift == pytest.approx(-0.5, abs=0.05)
    assert "runs at method none" in paths["json"].read_text()


def test_tables_have_a_row_of_every_level_and_the_dataset_an_axis(fitted, tmp_path):
    import xarray

    paths = export_map(fitted.source, tmp_path, RULE)
    table = pd.read_csv(paths["csv"])
    assert table.groupby("method").size().nunique() == 1
    assert set(table["method"]) == {"none", "fast"}
    assert set(pd.read_csv(paths["boundaries_csv"])["method"]) == {"none", "fast"}
    with xarray.open_dataset(paths["nc"]) as data:
        assert set(data["method"].values) == {"none", "fast"}
        assert data["probability"].dims[0] == "method"
        assert bool(data["probability"].notnull().all())


def test_few_numeric_values_are_cut_at_themselves():
    rng = np.random.default_rng(0)
    frame = pooled({"a": 0.5}, n=60).drop(columns="method").assign(width=rng.choice([16, 64], 60))
    scales = {"width": "log", "fraction": "linear", "decay": "log"}
    info = regime_map.info(RegimeMap.fit(frame, scales, rule=RULE), resolution=11)
    assert (info.x.name, info.y.name) == ("fraction", "decay")
    assert [dict(panel.at) for panel in info.panels] == [{"width": 16.0}, {"width": 64.0}]
    assert [set(panel.runs["width"]) for panel in info.panels] == [{16}, {64}]
    assert "Slices at width = 16, 64" in info.caption


def test_a_rule_is_changed_for_every_level(fitted):
    late = fitted.under(RegimeRule(budget=500, ratio=5.0))
    assert set(late.runs["regime"]) == {"memorization"}
    assert late.levels.shared == fitted.levels.shared


def test_a_line_is_where_both_regimes_are_equally_likely_at_a_cliff_too(fitted):
    (curve,) = fitted.boundary("memorization", "grokking", x="fraction", y="decay", at={"method": "none"}).curves
    inside = curve[(curve[:, 0] > curve[:, 0].min()) & (curve[:, 0] < curve[:, 0].max())]
    points = pd.DataFrame({"fraction": inside[:, 0], "decay": inside[:, 1], "method": "none"})
    found = fitted.probabilities(points)
    assert (found["memorization"] - found["grokking"]).abs().max() < 0.02


def test_laws_are_those_of_each_level_never_of_all_pooled(fitted):
    survival = laws.info(fitted)
    found = [(axis.axis, axis.level) for axis in survival.axes]
    assert found == [(axis, f"method {level}") for level in ("none", "fast") for axis in ("fraction", "decay")]
    assert survival.axes[0].title == "training fraction, method none"
    for axis in survival.axes:
        level = fitted.level({"method": axis.level.removeprefix("method ")})
        assert sum(third.runs for third in axis.thirds) == len(level.runs)
    middle = {axis.level: axis.thirds[1].mean.mean for axis in survival.axes if axis.axis == "fraction"}
    assert middle["method fast"] == pytest.approx(1000, rel=0.1)
    assert middle["method none"] == 3000
    assert [axis.level for axis in laws.info(fitted, {"method": "none"}).axes] == ["method none"] * 2
    assert len(laws.draw(survival).axes) == 4
