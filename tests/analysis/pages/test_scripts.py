"""The page's scripts stay small, in lines that can be read, and say what each is for."""

from importlib import resources

import pytest

from analysis.pages.map_page import SCRIPTS

FOLDER = resources.files("analysis.pages") / "templates"


def lines(name):
    return (FOLDER / name).read_text(encoding="utf-8").splitlines()


def test_the_scripts_are_short_in_all():
    assert sum(len(lines(name)) for name in SCRIPTS) < 500


def test_every_script_of_the_folder_is_on_the_page():
    assert {item.name for item in FOLDER.iterdir() if item.name.endswith(".js")} == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_read_on_one_screen_after_another(name):
    text = lines(name)
    assert text[0].startswith("// ")
    assert text[1] == '"use strict";'
    assert len(text) < 200
    assert max(map(len, text)) <= 120


@pytest.mark.parametrize("name", ["page.html", "base.html"])
def test_scripts_stand_in_their_own_files(name):
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert text.count("<script") == text.count("{{ script }}") + text.count("{{ data }}")
    assert " onclick=" not in text
