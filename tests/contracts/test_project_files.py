"""What stands beside the code says the same as the code: citation, typing markers, the workflow, the hook."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def read(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version_and_license():
    citation = read("CITATION.cff")
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


@pytest.mark.parametrize("pattern", PROJECT["tool"]["setuptools"]["packages"]["find"]["include"])
def test_every_installed_package_is_marked_as_typed(pattern):
    assert (ROOT / pattern.rstrip("*") / "py.typed").is_file()


def test_the_hook_is_make_check_and_the_workflow_is_the_gate():
    (hook,) = read(".pre-commit-config.yaml")["repos"][0]["hooks"]
    assert hook["entry"] == "make check"
    steps = read(".github/workflows/ci.yml")["jobs"]["gate"]["steps"]
    assert [step for step in steps if str(step.get("run", "")).endswith(" .ci/run")]
    gate = (ROOT / ".ci/run").read_text(encoding="utf-8")
    called = " ".join(re.findall(r"^make (.+)$", gate, re.MULTILINE)).split()
    made = [word for word in called if not word.startswith("-")]
    assert made == ["install", "check", "docs", "test", "long"]
    assert re.search(r"^export CI=true$", gate, re.MULTILINE)


def test_the_issue_form_of_a_part_names_every_family():
    from grokcore.config.folders import FAMILIES

    form = read(".github/ISSUE_TEMPLATE/part.yml")
    (field,) = [field for field in form["body"] if field.get("id") == "family"]
    named = {re.sub(r"s$", "", family).replace("losse", "loss") for family in FAMILIES}
    assert named <= set(field["attributes"]["options"])
