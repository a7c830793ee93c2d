"""What README and docs tell people to type is understood: commands, options, benchmarks, make targets, runs."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer

from sweeps import cli
from sweeps.cli.runs import _config_of

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def written(program):
    """Return every line of a page's code, and every piece of code in its text, that begins with `program`."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for code in re.findall(r"```(?:sh)?\n(.*?)```|`([^`\n]+)`", text, re.DOTALL):
            for line in code[0].splitlines() or [code[1]]:
                typed = re.sub(r"^(?:[A-Z_]+=\S+ )+", "", line.strip())
                if typed.startswith(f"{program} "):
                    found.append(pytest.param(typed, id=f"{page.relative_to(ROOT)}: {typed[:60]}"))
    return found


@pytest.fixture(scope="module")
def command():
    cli._mount()
    return typer.main.get_command(cli.app)


@pytest.mark.parametrize("line", written("grokmap"))
def test_a_command_of_grokmap_is_parsed(command, line):
    words = shlex.split(line, comments=True)[1:]
    path = ["grokmap"]
    while hasattr(command, "commands"):
        if not words or "|" in words or words[0] == "--help":
            return  # names a group of commands
        name = words.pop(0)
        assert name in command.commands, f"{' '.join(path)} has no command {name}"
        path.append(name)
        command = command.commands[name]
    if not words:
        return  # names a command
    context = command.make_context(path[-1], words)
    if path[-1] == "run":
        assert _config_of(context.params["settings"] or [])[0].run_id


@pytest.mark.parametrize("line", written("python -m"))
def test_a_module_that_is_run_is_there(line):
    name = shlex.split(line, comments=True)[2]
    assert importlib.util.find_spec(name) is not None


@pytest.mark.parametrize("line", written("make"))
def test_a_target_of_make_is_there(line):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert shlex.split(line, comments=True)[1] in targets


def test_python_of_the_readme_is_about_things_that_are_there():
    blocks = re.findall(r"```python\n(.*?)```", PAGES[0].read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        compile(block, "README.md", "exec")
        for package, names in re.findall(r"^from (\w+) import (.+?)(?:  #.*)?$", block, re.MULTILINE):
            module = importlib.import_module(package)
            for name in names.split(", "):
                assert hasattr(module, name), f"{package} has no {name}"


@pytest.mark.parametrize("page", PAGES[:2], ids=lambda page: page.name)
def test_every_link_of_a_page_in_the_root_leads_somewhere(page):
    # Those of docs/ are followed when the site is built.
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_guide_to_parts_names_every_example_there_is():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    examples = ROOT / "tests/contracts/components"
    named = set(re.findall(r"`(\w+/\w+\.py)` \|", text))
    there = {path.relative_to(examples).as_posix() for path in examples.glob("*/*.py")}
    assert named == there
