"""One source of truth for what is installed: uv.lock, which answers pyproject.toml and makes requirements.lock."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def test_requirements_lock_is_what_uv_exports():
    exported = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    (words,) = re.findall(r"^#    uv export (.+)$", exported, re.MULTILINE)
    words = words.replace("--output-file requirements.lock", "").split()
    command = [sys.executable, "-m", "uv", "export", "--no-header", "--offline", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    pins = [line for line in exported.splitlines() if not line.startswith("#")]
    assert done.stdout.splitlines() == pins, "run: make lock"
    assert all("==" in line for line in pins)


def test_uv_lock_answers_the_dependencies_of_the_project_as_they_are_now():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [(Requirement(line), "") for line in project["dependencies"]]
    asked += [(Requirement(line), extra) for extra, lines in project["optional-dependencies"].items() for line in lines]
    packages = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    (own,) = [package for package in packages if package["name"] == project["name"]]
    locked = {
        (line["name"], line.get("specifier", ""), tuple(line.get("extras", ())), line.get("marker", ""))
        for line in own["metadata"]["requires-dist"]
    }
    assert {
        (
            re.sub(r"[-_.]+", "-", one.name).lower(),
            str(one.specifier),
            tuple(sorted(one.extras)),
            f"extra == '{extra}'" if extra else "",
        )
        for one, extra in asked
    } == locked, "run: make lock"


def test_the_lock_names_no_machine_but_the_public_index():
    addresses = re.findall(r"(?:file|https?)://[^/\"]+", (ROOT / "uv.lock").read_text(encoding="utf-8"))
    assert set(addresses) == {"https://pypi.org", "https://files.pythonhosted.org"}
