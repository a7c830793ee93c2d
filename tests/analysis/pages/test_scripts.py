"""The page's scripts stay small, in lines that can be read, and say what each is for."""

from importlib import resources

import pytest

from analysis.pages.map_page import SCRIPTS

FOLDER = resources.files("analysis.pages") / "templates"
MAP = ("numbers.js", "plot.js", "map.js", "marks.js")
"""What draws the map: under 500 lines in all. The other scripts are its controls and what one can do with it."""


def lines(name):
    return (FOLDER / name).read_text(encoding="utf-8").splitlines()


def test_what_draws_the_map_is_short():
    assert set(MAP) < set(SCRIPTS)
    assert sum(len(lines(name)) for name in MAP) < 500


def test_every_script_of_the_folder_is_on_the_page():
    assert {item.name for item in FOLDER.iterdir() if item.name.endswith(".js")} == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_read_on_one_screen_after_another(name):
    text = lines(name)
    assert text[0].startswith("// ")
    assert text[1] == '"use strict";'
    assert len(text) < 160
    assert max(map(len, text)) <= 120
