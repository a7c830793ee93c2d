"""The map's page in a real browser: sliders move the map, a click opens a run, nothing is asked of the network."""

import base64
import json
import re

import numpy as np
import pandas as pd
import pytest

from analysis import RegimeRule
from analysis.maps.grid import map_grid
from analysis.models.change_points import PiecewisePosterior, Step
from analysis.models.milestone_times import Times, regimes_from_times
from analysis.pages.page_data import normals
from analysis.runs.run_table import Runs, allowed_regimes
from analysis.runs.sources import read_source
from grokcore.records.regimes import REGIMES
from tests.browser.controls import drags, reference, slide

pytestmark = pytest.mark.browser


def unpacked(field):
    """Return the numbers that a packed field of a page stands for."""
    if not isinstance(field, dict):
        return field
    return np.frombuffer(base64.b64decode(field["data"]), "<i2") * field["scale"] + field["offset"]


NEAR_RUN = """() => {
    const box = document.getElementById("map").getBoundingClientRect(), run = placed.find(d => !d.far);
    return [box.left + run.x, box.top + run.y];
}"""
DRAWN = "document.getElementById('map').innerHTML"


def shares(page):
    """Return the share of the slice that each regime has, as the page tells it to a screen reader."""
    told = page.inner_text(f"#{page.get_attribute('#map', 'aria-labelledby')}")
    return {name: float(value) for name, value in re.findall(r"(\w+)\s+(\d+) %", told)}


def test_the_page_answers_a_slider_at_once(page):
    assert drags(page, "budget", (900, 850, 800)) < 4  # .8 where the core is idle


def slice_points(page, fitted):
    """Return the points of the slice's grid, across fastest, as the page's layers are ordered."""
    across, up = np.meshgrid(*map_grid(fitted).grids[:2])
    return pd.DataFrame({"fraction": across.ravel(), "decay": up.ravel(), "rate": page.evaluate("state['at.rate']")})


def layer(page, name):
    return np.array(page.evaluate("name => Array.from(scene.layers[name])", name))


def test_under_the_own_rule_the_page_shows_the_numbers_of_the_library(page, made):
    fitted, _ = made
    everywhere = map_grid(fitted).points
    for cut in (12, 5):
        slide(page, "slice-2", cut)
        points = slice_points(page, fitted)
        expected = fitted.probabilities(points)
        shown = np.exp([layer(page, str(regime)) for regime in REGIMES]).T
        np.testing.assert_allclose(shown, expected, atol=3e-4)
        unsure = fitted.uncertainty(points)
        for name in ("epistemic", "seeds"):
            np.testing.assert_allclose(layer(page, name), unsure[name], atol=3e-4)
        for pair in page.evaluate("Object.keys(DATA.levels[0].own).filter(name => name.includes('|'))"):
            # Asked for a whole grid, since the width over which labels spread is that of the points asked for.
            side = fitted.share(*pair.split("|"), everywhere).to_numpy().reshape(25, 25, 25)[:, :, cut].T.ravel()
            np.testing.assert_allclose(1 / (1 + np.exp(-layer(page, pair))), side, atol=3e-4)
        found = shares(page)
        for regime, share in expected.mean().items():
            assert abs(found[str(regime)] - 100 * share) <= 0.5 + 1e-3, regime
    assert fitted.rule.sentence() in page.inner_text("#caption")
    assert "As fitted" in page.inner_text("#source")


def test_what_is_drawn_between_the_points_of_the_grid_goes_through_them(page):
    drawn, shown = page.evaluate("[Array.from(scene.p), NAMES.map(name => Array.from(scene.layers[name]))]")
    sizes = page.evaluate("[scene.n, scene.m, scene.x.size, scene.y.size]")
    n, m, nx, ny = sizes
    fine = np.reshape(drawn, (m, n, 4))[:: (m - 1) // (ny - 1), :: (n - 1) // (nx - 1)]
    points = np.exp(shown).T.reshape(ny, nx, 4)
    np.testing.assert_allclose(fine, points / points.sum(axis=-1, keepdims=True), atol=1e-5)


def test_boundaries_on_the_page_are_those_of_the_library(page, made):
    fitted, _ = made
    at = {"rate": page.evaluate("state['at.rate']")}
    across, up = fitted.axes[:2]
    edges = page.evaluate("scene.edges")
    cell = 1 / (page.evaluate("scene.x.size") - 1)
    for pair in ("memorization|grokking", "grokking|comprehension"):
        boundary = fitted.boundary(*pair.split("|"), x="fraction", y="decay", at=at)
        curve = np.vstack([np.column_stack([across.unit(c[:, 0]), up.unit(c[:, 1])]) for c in boundary.curves])
        shown = np.array(edges[pair]).reshape(-1, 2)
        apart = np.hypot(*(shown[:, None] - curve[None]).T)
        assert apart.min(axis=0).max() < cell / 2, pair
        assert np.quantile(apart.min(axis=1), 0.95) < cell / 2, pair


def by_times_and_law(fitted, points, rule):
    """Return what the page promises under another rule: the times and the law mixed by their weights in the map."""
    weights = {name: fitted.weights.get(name, 0.0) for name in ("times", "law")}
    total = sum(weights.values())
    parts = [w / total * fitted.member_probabilities(name, points, rule) for name, w in weights.items() if w]
    return sum(part.to_numpy() for part in parts)


RULES = [
    RegimeRule(budget=754, ratio=5.0),
    RegimeRule(budget=1200, gap=250),
    RegimeRule(budget=2500, ratio=3),
    RegimeRule(threshold=0.95, budget=3000, ratio=5.0),
]


def test_a_time_between_two_evaluations_leaves_the_page_as_sure_as_the_library(page):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"t_mem": rng.integers(2, 400, 300), "t_gen": rng.integers(400, 4000, 300)}).astype(float)
    for name in ("t_mem", "t_gen"):
        table[f"{name}_lower"] = np.floor(table[name] * rng.choice([0.1, 0.5, 0.99], 300))
        table[f"{name}_event"] = True
    table = table.assign(outcome="finished", ruled_out=0.0)
    runs = Runs(table=table, axes=(), thresholds=(0.9,), budget_limit=4000, warnings=())
    times = [np.column_stack([runs.earliest(name), table[name]]).tolist() for name in ("t_mem", "t_gen")]
    for budget in (300, 1500):
        shown = page.evaluate(
            "([mems, gens, budget]) => mems.map((mem, i) => "
            "labelRun(mem, gens[i], { budget, grokkingFrom: t => 5 * t }).known)",
            [*times, budget],
        )
        known = allowed_regimes(runs, RegimeRule(budget=budget, ratio=5.0)).sum(axis=1) == 1
        assert 30 < known.sum() < 270
        assert shown == known.tolist()


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_under_another_rule_the_ground_follows_from_the_times_and_the_law(page, made, rule):
    fitted, _ = made
    delay = {"form": "gap", "gap": rule.gap} if rule.gap is not None else {"form": "ratio", "ratio": rule.ratio}
    told = {"threshold": rule.threshold, "budget": rule.budget, **delay}
    page.evaluate("rule => { Object.assign(state, rule); render(); }", told)
    page.wait_for_selector("#source:has-text('Another rule')")
    points = slice_points(page, fitted)
    expected = by_times_and_law(fitted, points, rule)
    shown = np.exp([layer(page, str(regime)) for regime in REGIMES]).T
    # The library averages draws of the law's parameters, the page takes their best values.
    assert np.abs(shown - expected).mean() < 0.01
    assert (shown.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.97
    np.testing.assert_allclose(shown.sum(axis=1), 1, atol=2e-3)
    labels = [str(REGIMES[i]) for i in page.evaluate("labels.map(label => label.regime)")]
    if rule.threshold == fitted.rule.threshold:
        runs = fitted.runs
        times = [runs[name].to_numpy() for name in ("t_mem", "t_mem_event", "t_gen", "t_gen_event")]
        assert labels == [str(REGIMES[i]) for i in rule.labels(*times)]
    else:
        assert labels == fitted.under(rule).runs["regime"].tolist()
    assert "alone" in page.inner_text("#source")
    form = f"--gap {rule.gap:g}" if rule.gap is not None else f"--ratio {rule.ratio:g}"
    assert f"--threshold {rule.threshold:g} --budget {rule.budget} {form}" in page.inner_text("#command")
    assert page.locator("#layer option[value='seeds']").is_disabled()
    page.click("#reset")
    page.wait_for_selector("#source:has-text('As fitted')")


def test_jumping_times_give_the_same_regimes_in_the_browser(page):
    def level(mean, *steps):
        ones = np.ones(1)
        return PiecewisePosterior(
            mean * ones, 0.03 * ones, 0.12, tuple(Step(h, m * ones, v * ones) for h, m, v in steps)
        )

    def told(some):
        parts = [{"weight": w[0], "mean": m[0], "sd": s[0]} for w, m, s in some.parts(noise=False)]
        return [{"noise": some.noise} | {name: [v] for name, v in part.items()} for part in parts]

    mem, delay = level(2.5, (0.8, -0.4, 0.3)), level(2.3, (0.9, 0.5, 0.8), (-0.7, 0.2, 0.4))
    rule = RegimeRule(budget=1200, ratio=3)
    script = """([mem, delay]) => {
        const rule = { budget: 1200, grokkingFrom: t => 3 * t };
        const layers = relabelled(mem, delay, 1, rule), value = name => layers[name][0];
        return [NAMES.map(value).map(Math.exp), 1 / (1 + Math.exp(-value("memorization|grokking")))];
    }"""
    found, side = page.evaluate(script, [told(mem), told(delay)])
    np.testing.assert_allclose(found, regimes_from_times(Times(mem, delay), rule)[0], atol=0.01)
    median = regimes_from_times(Times(mem, delay), rule, noise=False)[0]
    np.testing.assert_allclose(side, median[1] / (median[1] + median[2]), atol=0.03)


def test_normals_of_the_page_are_the_sides_of_the_jumps():
    ones = np.ones(3)
    level = PiecewisePosterior(
        np.array([2.0, 2.1, 2.2]), 0.04 * ones, 0.1, (Step(0.8, np.array([-1.0, 0.1, 2.0]), 0.25 * ones),)
    )
    step = level.steps[0]
    table = pd.DataFrame(
        {
            "t_mem_mean": level.median,
            "t_mem_sd": np.sqrt(level.variance),
            "t_mem_jump_1": step.height,
            "t_mem_side_1": step.mean,
            "t_mem_side_1_sd": np.sqrt(step.variance),
        }
    )
    for part, (weight, mean, sd) in zip(normals(table, "t_mem"), level.parts(noise=False), strict=True):
        for name, expected in (("weight", weight), ("mean", mean), ("sd", sd)):
            np.testing.assert_allclose(unpacked(part[name]), expected, atol=1e-4, err_msg=name)


def test_every_slider_moves_the_map(page):
    seen = [page.evaluate(DRAWN)]
    for name, value in (("ratio", 500), ("slice-2", 14), ("threshold", 3), ("budget", 850)):
        slide(page, name, value)
        seen.append(page.evaluate(DRAWN))
    assert len(set(seen)) == len(seen)
    page.select_option("#form", "gap")
    page.wait_for_selector("#command:has-text('--gap')")
    assert page.locator("#slice-0").is_hidden()
    page.select_option("#axis-x", "rate")
    page.wait_for_selector("#command:has-text('--x rate')")
    assert page.locator("#slice-0").is_visible()
    assert page.locator("#slice-2").is_hidden()
    page.click("#reset")
    for layer in ("likeliest", "epistemic", "seeds", "time"):
        before = page.evaluate("+document.body.dataset.draws")
        page.select_option("#layer", layer)
        page.wait_for_selector(f"body:not([data-draws='{before}'])")
        seen.append(page.evaluate(DRAWN))
    assert len(set(seen)) == len(seen)


def test_a_shorter_budget_leaves_fewer_generalised_and_more_memorization(page):
    before = shares(page)
    slide(page, "budget", 600)
    after = shares(page)
    assert after["grokking"] + after["comprehension"] < before["grokking"] + before["comprehension"] - 5
    assert after["memorization"] + after["confusion"] > before["memorization"] + before["confusion"] + 5


def test_a_click_on_a_run_opens_its_curves(page, made):
    fitted, _ = made
    x, y = page.evaluate(NEAR_RUN)
    page.mouse.click(x, y)
    run = fitted.runs.iloc[page.evaluate("chosen()")]
    shown = page.inner_text("#run")
    assert shown.startswith(f"Run {run['run_id']}\n")
    assert run["regime"] in shown
    assert f"step {run['t_mem']:,.0f}" in shown
    steps = page.evaluate("curve('val_accuracy', chosen()).length")
    for panel, lines in (("accuracy", 2), ("loss", 2), ("measured", 1)):
        drawn = page.eval_on_selector_all(f"#{panel} polyline", "found => found.map(line => line.points.length)")
        assert len(drawn) == lines, panel
        assert min(drawn) >= steps - 1, panel


def test_the_table_filters_sorts_and_opens_runs(page, made):
    fitted, _ = made
    page.fill("#filter", "grokking")
    number = (fitted.runs["regime"] == "grokking").sum()
    assert page.inner_text("#count").endswith(f"of {number} runs")
    page.click("#runs th button[data-sort='t_gen']")
    first = page.locator("#runs tbody tr").first
    smallest = fitted.runs[fitted.runs["regime"] == "grokking"].sort_values("t_gen").iloc[0]
    assert smallest["run_id"] in first.inner_text()
    first.focus()
    page.keyboard.press("Enter")
    assert page.inner_text("#run").startswith(f"Run {smallest['run_id']}\n")
    page.fill("#filter", "grokking, seed 1")
    number = ((fitted.runs["regime"] == "grokking") & (fitted.runs["seed"] == 1)).sum()
    assert number > 1
    assert page.inner_text("#count").endswith(f"of {number} runs")
    page.fill("#filter", "no such run")
    assert page.inner_text("#count") == "no run matches"


def test_text_of_the_runs_is_text_and_not_markup(page):
    assert page.locator("text=<b>a & b</b>").count() >= 1
    assert json.loads(page.evaluate("document.getElementById('data').textContent"))["runs"]["columns"][0]["words"]


@pytest.mark.slow
def test_a_page_of_a_thousand_runs_is_small_and_quick(browser, peopled, synthetic_sweep):
    source = read_source(synthetic_sweep(1024))
    _, out = peopled(source.frame, source)
    assert out.stat().st_size < 15e6
    tab = browser.new_page()
    tab.goto(out.as_uri())
    tab.wait_for_selector("body[data-draws]")
    took = tab.evaluate("performance.now()")
    assert drags(tab, "budget", (900, 850, 800)) < 6
    assert took < 120 * reference(tab)  # 9 times where the core is idle, .3 s
    tab.close()
