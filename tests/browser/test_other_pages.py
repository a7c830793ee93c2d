"""The pages of a run and of a comparison: they fit their window, and can be read without eyes and in the dark."""

import pytest

from analysis import RegimeRule
from analysis.exports.comparison import export_comparison
from analysis.pages.run_page import write_run_page
from grokcore import RunConfig, train
from tests.browser.controls import looks, violations

pytestmark = pytest.mark.browser


def complaints(browser, path):
    """Return, of every look of a page, whether it is wider than its window, and what axe finds."""
    found = []
    tab = browser.new_page()
    tab.goto(path.as_uri())
    for look in looks(tab):
        found += [look] if tab.evaluate("document.documentElement.scrollWidth") > look[0] else []
        found += [(*look, one["id"], one["nodes"][0]["html"][:90]) for one in violations(tab)]
    tab.close()
    return found


def test_the_page_of_a_run(browser, tmp_path):
    values = {
        "task": {"name": "modular_addition", "modulus": 11},
        "model": {"name": "mlp", "width": 16},
        "optimizer": {"name": "adamw", "rate": 1e-2, "decay": 0.5},
        "fraction": 0.6,
        "steps": 60,
    }
    (record,) = train([RunConfig.from_dict(values)])
    page = write_run_page(record, None, tmp_path, notes=["Only the curves are shown."])["html"]
    assert complaints(browser, page) == []


def test_axe_sees_what_it_should(browser, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        '<html><body style="background:white"><p style="color:#ccc">pale</p><img src="data:,"></body></html>'
    )
    assert {"color-contrast", "image-alt"} <= {one[2] for one in complaints(browser, page) if len(one) > 2}


@pytest.mark.slow
def test_the_page_of_a_comparison(browser, synthetic_runs, tmp_path):
    first, second = (synthetic_runs(32, seed).drop(columns="optimizer.rate") for seed in (0, 1))
    _, paths = export_comparison(first, second, tmp_path, rule=RegimeRule(budget=3000, ratio=5.0))
    assert complaints(browser, paths["html"]) == []
