"""The gallery of the documentation: its page is what its Parquet files say, and each claim has its picture."""

from pathlib import Path

import pytest

from sweeps.gallery import page
from sweeps.gallery.exhibit import kept
from sweeps.gallery.experiment import is_of
from sweeps.recipes.recipe import recipe

FOLDER = Path(__file__).parents[2] / "docs" / "gallery"


@pytest.fixture(scope="module")
def experiments():
    return kept(FOLDER)


def test_the_page_is_what_the_kept_runs_say(experiments):
    assert len(experiments) >= 13
    assert (FOLDER / page.PAGE).read_text(encoding="utf-8") == page.text(experiments)


def test_every_claim_has_its_picture(experiments):
    pictures = {one.picture for experiment in experiments for one in page.judged(experiment)}
    assert pictures == {path.name for path in FOLDER.glob("*.png")}


def test_a_claim_that_differs_or_stays_open_says_what_was_tried(experiments):
    claims = [one for experiment in experiments for one in page.judged(experiment)]
    silent = [one.claim.says for one in claims if one.verdict != "agrees" and not one.claim.remark]
    assert not silent


def test_what_is_kept_is_of_the_recipes_as_they_are(experiments):
    assert all(is_of(one, recipe(one.recipe), quick=one.quick) for one in experiments)


def test_files_are_small():
    assert all(path.stat().st_size < 300_000 for path in FOLDER.iterdir())
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 6_000_000


def test_what_is_kept_cost_less_than_its_recipe_says(experiments):
    """Runs of several processors count together, as each was timed on its own."""
    over = {one.recipe: one.seconds for one in experiments if one.seconds > recipe(one.recipe).price(quick=one.quick)}
    assert not over
