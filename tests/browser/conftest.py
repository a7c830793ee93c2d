"""One headless Chromium for all tests of pages, and one page of a map."""

import dataclasses

import pytest

from analysis import RegimeMap
from analysis.exports.map import define
from analysis.figures import laws
from analysis.maps.grid import map_grid
from analysis.pages import map_page
from analysis.pages.page_data import Drawn
from analysis.runs.run_table import check_runs
from analysis.runs.sources import read_source
from tests.needs import chromium

RUNS = 64


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=chromium(), args=quiet)
        yield started
        started.close()


@pytest.fixture(scope="session")
def made(synthetic_sweep, tmp_path_factory):
    """Return the fitted map and the file of its page."""
    source = read_source(synthetic_sweep(RUNS))
    fitted = RegimeMap.fit(source.frame, source.scales, rule=source.default_rule, seed=0, box=source.box)
    out = tmp_path_factory.mktemp("page") / "map.html"
    definition = define(fitted, source, out.parent, Drawn(), "screen")
    said = map_page.laws_of(fitted, laws.info(fitted), "")
    out.write_text(map_page.page(fitted, source, {(): map_grid(fitted)}, definition, said))
    return fitted, out


@pytest.fixture(scope="session")
def peopled(made, tmp_path_factory):
    """Give a function (runs, source) -> map and page: the fitted map with other runs on it, to look at as a page."""

    def make(runs, source):
        fitted, _ = made
        table = check_runs(runs, fitted.scales, fitted.rule.threshold).table
        many = dataclasses.replace(fitted, checked=dataclasses.replace(fitted.checked, table=table))
        out = tmp_path_factory.mktemp("peopled") / "map.html"
        definition = define(many, source, out.parent, Drawn(), "screen")
        milestones = RegimeMap.milestones
        with pytest.MonkeyPatch.context() as patch:
            # The times at other thresholds are those of the few runs too.
            patch.setattr(RegimeMap, "milestones", lambda _, *asked: milestones(fitted, *asked))
            out.write_text(map_page.page(many, source, {(): map_grid(fitted)}, definition))
        return many, out

    return make


@pytest.fixture
def page(browser, made):
    """Load the page; no error may occur and nothing may be requested but the file itself."""
    tab = browser.new_page(viewport={"width": 1380, "height": 950})
    errors, requests = [], []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(made[1].as_uri())
    tab.wait_for_selector("body[data-draws]")
    yield tab
    assert errors == []
    # Pictures and files that the page makes of itself have addresses too, which ask nobody.
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == [made[1].as_uri()]
    tab.close()
