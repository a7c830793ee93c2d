"""Many runs as cells: nothing is lost in the count, and figures do not grow with the runs."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from analysis.figures import base, crowd, plane, profile, regime_map, uncertainty
from analysis.runs.run_table import check_runs

FLAT = {"optimizer.decay": 0.1}


def crowded(fitted, known, count, dimensions):
    """Return a map of few runs that shows many."""
    table = check_runs(known.runs(count, 7, dimensions), known.scales(dimensions), known.rule.threshold).table
    return dataclasses.replace(fitted, checked=dataclasses.replace(fitted.checked, table=table))


def test_cells_count_every_run_once_and_take_the_regime_of_most():
    rng = np.random.default_rng(0)
    runs = pd.DataFrame({"x": rng.uniform(0, 1, 5000), "y": rng.uniform(0, 1, 5000)})
    runs.loc[:9, ["x", "y"]] = 1.0
    runs.loc[10:400, "x"] = sum(plane.ZERO_STRIP) / 2
    runs["regime"] = rng.choice(["confusion", "grokking", "comprehension"], 5000, p=[0.2, 0.5, 0.3])
    found = crowd.cells(runs)
    assert found["count"].sum() == len(runs)
    assert found[["x", "y"]].max().max() < 1
    assert found.loc[found["x"] < 0, "count"].sum() == 391
    half = 0.5 / crowd.CELLS + 1e-9
    for row in found.sample(30, random_state=0).itertuples():
        inside = (np.abs(runs["x"] - row.x) <= half) & (np.abs(runs["y"] - row.y) <= half)
        counts = runs.loc[inside, "regime"].value_counts()
        assert counts.sum() == row.count
        assert counts[row.regime] == counts.max()


def test_areas_grow_with_the_number_of_runs():
    sizes = crowd.areas([1, 10, 100, 200], base.STYLES["screen"])
    assert (np.diff(sizes) >= 0).all()
    assert sizes[3] == pytest.approx(2 * sizes[2])


@pytest.mark.parametrize("kind", ["map", "uncertainty"])
def test_a_figure_of_fifty_thousand_runs_is_as_large_as_one_of_two_thousand(known, known_map, tmp_path, kind):
    draw, sizes, style = {"map": regime_map.draw, "uncertainty": uncertainty.draw}[kind], [], base.STYLES["screen"]
    for count in (2000, 50_000):
        info = regime_map.info(crowded(known_map, known, count, 2), resolution=21)
        figure = draw(info, style)
        (path,) = base.save(figure, [tmp_path / f"{count}.svg"], style)
        sizes.append(path.stat().st_size)
        marks = sum(len(drawn.get_offsets()) for axes in figure.axes for drawn in axes.collections)
        assert 100 < marks < 3 * crowd.CELLS**2
    assert sizes[1] < min(1.2 * sizes[0], 2e6)
    if kind == "map":
        assert crowd.LABEL in [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_a_map_of_few_runs_keeps_a_mark_for_each(known_map):
    figure = regime_map.draw(regime_map.info(known_map, resolution=21))
    assert crowd.LABEL not in [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    marks = sum(len(drawn.get_offsets()) for drawn in figure.axes[0].collections if len(drawn.get_offsets()) > 1)
    assert marks <= len(known_map.runs)


def test_a_profile_of_many_runs_shows_cells_in_the_rows_of_the_regimes(known):
    from analysis import RegimeMap

    fitted = RegimeMap.fit(known.runs(48, 0).assign(**FLAT), {"fraction": "linear"}, rule=known.rule)
    runs = known.runs(50_000, 7).assign(**FLAT)
    table = check_runs(runs, {"fraction": "linear"}, known.rule.threshold).table
    many = dataclasses.replace(fitted, checked=dataclasses.replace(fitted.checked, table=table))
    figure = profile.draw(profile.info(many, resolution=41))
    places = np.vstack(
        [drawn.get_offsets() for axes in figure.axes for drawn in axes.collections if len(drawn.get_offsets())]
    )
    assert len(places) < 4 * crowd.CELLS + 100
    assert {0.0, 1.0, 2.0, 3.0} >= set(places[:, 1])
