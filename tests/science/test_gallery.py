"""The gallery's cheapest claims, run again: the same verdicts as the page has. Half a minute on one thread."""

from pathlib import Path

import pytest

from sweeps.gallery import page
from sweeps.gallery.experiment import conduct, load
from sweeps.recipes.recipe import recipe

pytestmark = [pytest.mark.science, pytest.mark.slow]

FOLDER = Path(__file__).parents[2] / "docs" / "gallery"


@pytest.mark.parametrize("name", ["gromov-analytic", "merrill-parity", "power-no-structure"])
def test_a_cheap_claim_has_the_verdict_that_the_gallery_tells(name):
    verdicts = [one.verdict for one in page.judged(conduct(recipe(name), quick=True))]
    assert verdicts == [one.verdict for one in page.judged(load(FOLDER / f"{name}.parquet"))]
