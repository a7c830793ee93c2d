"""Categories on the map's page: a selector, its levels' own numbers, few values as stops, and what is to be known."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from analysis import RegimeMap
from analysis.exports.map import define
from analysis.maps.grid import map_grid
from analysis.pages import map_page
from analysis.pages.page_data import Drawn
from analysis.runs.sources import read_source
from grokcore.records.regimes import RegimeRule
from tests.browser.controls import opened, slide

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def levels(tmp_path_factory, synthetic_runs):
    """Return a map of two methods with edges far apart, with an axis of three values, and its page."""
    parts = []
    for method, shift in (("none", 0.0), ("fast", -0.5)):
        runs = synthetic_runs(64, 0).assign(transform=method)
        gen = (runs["t_gen"] * 10**shift).clip(lower=runs["t_mem"]).round()
        runs["run_id"] = method + runs["run_id"]
        parts.append(runs.assign(t_gen=gen).drop(columns=[c for c in runs if re.match(r"t_(train|val)_", c)]))
    frame = pd.concat(parts, ignore_index=True)
    frame["optimizer.rate"] = np.array([1e-3, 2e-3, 1e-2])[np.arange(len(frame)) % 3]
    scales = {"fraction": "linear", "decay": "log", "rate": "log", "transform": "categorical"}
    fitted = RegimeMap.fit(frame, scales, rule=RegimeRule(budget=3000, ratio=5.0), seed=0)
    source = read_source(frame)
    out = tmp_path_factory.mktemp("levels") / "map.html"
    definition = define(fitted, source, out.parent, Drawn(), "screen")
    grids = {level: map_grid(one) for level, one in fitted.parts.items()}
    out.write_text(map_page.page(fitted, source, grids, definition))
    return fitted, grids, out


def test_a_category_is_a_selector_whose_levels_show_their_own_numbers(browser, levels):
    fitted, grids, out = levels
    tab = opened(browser, out)
    assert tab.locator("#level option").all_inner_texts() == [level[0] for level in grids]
    seen = []
    for number, level in enumerate(grids):
        before = tab.evaluate("document.body.dataset.draws")
        tab.select_option("#level", level[0])
        if number:
            tab.wait_for_selector(f"body:not([data-draws='{before}'])")
        slice_ = tab.evaluate("AXES[2].slices[stopOf('at.rate')]")
        low, high, share = *slice_["index"][:2], slice_["weight"][1]
        shape = (*grids[level].shape, 4)
        logs = np.log(grids[level].probabilities.clip(lower=1e-5).to_numpy()).reshape(shape).swapaxes(0, 1)
        expected = np.exp((1 - share) * logs[:, :, low] + share * logs[:, :, high]).reshape(-1, 4)
        shown = np.exp(tab.evaluate("NAMES.map(name => Array.from(scene.layers[name]))")).T
        np.testing.assert_allclose(shown, expected, atol=3e-4)
        own = fitted.runs[fitted.runs["transform"] == level[0]]
        assert f"{len(own)} runs at {level[0]}" in tab.inner_text("#caption")
        assert set(tab.evaluate("placed.map(d => IDS[d.i])")) <= set(own["run_id"])
        assert f"--at transform={level[0]}" in tab.inner_text("#command")
        seen.append(tab.inner_html("#map"))
    assert len(set(seen)) == 2
    tab.close()


def test_a_run_of_another_level_brings_its_level_and_an_address_too(browser, levels):
    _, grids, out = levels
    tab = opened(browser, out)
    first, second = (level[0] for level in grids)
    tab.fill("#filter", f"transform {second}")
    assert tab.inner_text("#count").endswith("of 64 runs")
    tab.locator("#runs tbody tr").first.click()
    tab.wait_for_function(f"document.getElementById('level').value === '{second}'")
    assert f"level={second}" in tab.evaluate("location.hash")
    assert "transform" in tab.inner_text("#run")
    again = opened(browser, out, tab.evaluate("location.hash"))
    assert again.evaluate("document.getElementById('level').value") == second
    assert first in tab.inner_text("#level")
    tab.close()
    again.close()


def test_an_axis_of_few_values_stops_at_them(browser, levels):
    _, _, out = levels
    tab = opened(browser, out)
    stops = []
    for value in range(3):
        slide(tab, "slice-2", value)
        stops.append(tab.evaluate("state['at.rate']"))
    assert tab.get_attribute("#slice-2", "max") == "2"
    np.testing.assert_allclose(stops, [1e-3, 2e-3, 1e-2], rtol=1e-3)
    tab.close()


def test_notes_and_warnings_are_said_on_the_page(made, synthetic_sweep, tmp_path):
    fitted, _ = made
    told = dataclasses.replace(fitted, notes=("Read as it <was>.",), warnings=("Beware of this.",))
    definition = define(told, read_source(synthetic_sweep(64)), tmp_path, Drawn(), "screen")
    page = map_page.page(told, read_source(synthetic_sweep(64)), {(): map_grid(fitted)}, definition)
    assert '<p class="note">Read as it &lt;was&gt;.</p>' in page
    assert '<p class="warning" role="note">Beware of this.</p>' in page
