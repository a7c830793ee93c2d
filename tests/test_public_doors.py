"""The public doors, by name: what scripts, notebooks and other people's checks rely on."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import numpy as np
import pytest

import grokcore
import grokmap
from grokcore.errors import ConfigError, DataError
from grokcore.records import milestone_callback
from grokcore.records.milestones import Milestone

ROOT = Path(__file__).parents[1]

DOORS = {
    "grokcore": ["RunConfig", "train", "RunRecord", "RegimeRule", "Milestones", "Outcome", "EarlyStopping"],
    "analysis": ["RegimeMap", "RegimeRule", "read_runs", "compare"],
    "cluster": ["Plan", "make_plan", "parse_nodes"],
    "sweeps": ["SweepSpec", "Range", "Choice", "RegimeRule", "run_sweep", "BoundarySampler", "tell_milestones", "main"],
    "grokmap": [
        "RunConfig", "train", "SweepSpec", "Range", "Choice", "run_sweep", "load", "RegimeRule", "RegimeMap",
        "read_runs", "compare", "BoundarySampler", "tell_milestones", "Milestones", "use_folder",
    ],
}  # fmt: skip


@pytest.mark.parametrize("package", DOORS)
def test_doors_open_and_are_completed_by_tab(package):
    module = importlib.import_module(package)
    for name in DOORS[package]:
        assert getattr(module, name) is not None
        assert name in dir(module)
        assert name in module.__all__
        assert getattr(module, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'Regime_Map'"):
        module.Regime_Map  # noqa: B018


def test_the_namespace_is_installed_with_the_packages():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert settings["py-modules"] == ["grokmap"]


SHADOWED = {
    "a module": ("analysis.py", "import grokmap"),
    "a package": ("analysis/__init__.py", "from sweeps import SweepSpec"),
    "a cluster": ("cluster.py", "import grokmap"),
}


@pytest.mark.parametrize("kind", SHADOWED)
def test_a_package_of_the_same_name_is_found_out_in_one_sentence(kind, tmp_path):
    path, line = SHADOWED[kind]
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text("mine = 1\n")
    (tmp_path / "script.py").write_text(line)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    name = path.partition("/")[0].removesuffix(".py")
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: Grokmap's package {name!r} is hidden by {tmp_path / name}")
    assert "python -P" in last
    safe = subprocess.run(
        [sys.executable, "-P", "script.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (safe.returncode, safe.stderr) == (0, "")


def test_training_alone_needs_no_other_package(tmp_path):
    (tmp_path / "analysis.py").write_text("mine = 1\n")
    (tmp_path / "script.py").write_text(
        "import analysis, grokcore\nprint(analysis.mine, grokcore.RunConfig.__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "1 RunConfig\n", done.stderr


def test_milestones_of_a_loop_are_those_of_a_record(tmp_path):
    assert doctest.testmod(milestone_callback).failed == 0
    config = grokmap.RunConfig.from_dict(
        {
            "task": {"name": "modular_addition", "modulus": 7},
            "model": {"name": "mlp", "width": 16},
            "optimizer": {"name": "adamw", "rate": 1e-2},
            "fraction": 0.8,
            "steps": 200,
        }
    )
    (record,) = grokmap.train([config], measures="none")
    assert repr(record) == f"<RunRecord {config.run_id}: {record.outcome} at step 200, {record.regime}>"
    watch = grokmap.Milestones()
    for step, train, val in record.curves[["step", "train_accuracy", "val_accuracy"]].itertuples(index=False):
        watch.see(step, train, val)
    for split in ("train", "val"):
        for threshold in (0.5, 0.9, 0.99):
            assert watch.milestone(split, threshold) == record.milestone(split, threshold)
    for fraction in (0.5, 0.8):
        watch.append_to(tmp_path / "mine.csv", fraction=fraction)
    table = grokmap.read_runs(tmp_path / "mine.csv")
    assert table["fraction"].tolist() == [0.5, 0.8]
    assert table["t_mem"].tolist() == [record.milestone("train", 0.9).step] * 2
    with pytest.raises(DataError, match="take another file"):
        watch.append_to(tmp_path / "mine.csv", decay=1.0)


def test_milestones_refuse_what_cannot_be():
    watch = grokmap.Milestones()
    with pytest.raises(DataError, match="nothing was seen"):
        watch.t_gen  # noqa: B018
    watch.see(10, 0.5, 0.1)
    with pytest.raises(DataError, match="step 10 comes after step 10"):
        watch.see(10, 0.5, 0.1)
    with pytest.raises(DataError, match="divide per cent by 100"):
        watch.see(20, 99.0, 0.1)
    with pytest.raises(ConfigError, match="it is an accuracy"):
        grokmap.Milestones(threshold=90)
    assert watch.t_gen == Milestone(event=False, step=10)


WITHOUT = {
    "run_sweep": ("docs/notebooks/first-map.ipynb", "run_sweep("),
    "SweepResult": ("docs/notebooks/first-map.ipynb", "run_sweep("),
    "load": ("docs/notebooks/first-map.ipynb", "load("),
    "use_folder": ("docs/notebooks/your-own.ipynb", "use_folder("),
    "main": ("README.md", "grokmap map"),
    "make_plan": ("docs/cluster.md", "grokmap plan"),
    "Plan": ("docs/cluster.md", "grokmap plan"),
}
"""Doors that take processes, a folder or a minute: the page that has an example of each, and what it says there."""


def doors():
    """Yield every public class and function, once, with its name."""
    found = {}
    for package in DOORS:
        module = importlib.import_module(package)
        found |= {id(getattr(module, name)): (name, getattr(module, name)) for name in module.__all__}
    return [(name, door) for name, door in found.values() if callable(door)]


@pytest.mark.parametrize(("name", "door"), doors(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_door_has_an_example_that_is_true(name, door):
    finder = doctest.DocTestFinder(recurse=False)
    (test,) = finder.find(door, name, importlib.import_module(door.__module__))
    if name in WITHOUT:
        page, word = WITHOUT[name]
        assert word in (ROOT / page).read_text(encoding="utf-8")
        return
    assert test.examples, f"{name} has no example"
    assert doctest.DocTestRunner().run(test).failed == 0


def test_no_door_is_hidden_by_a_module_of_its_name():
    for package in DOORS:
        module = importlib.import_module(package)
        for name in module.__all__:
            assert not (Path(module.__file__).parent / f"{name}.py").exists(), f"{package}.{name}"
            assert not isinstance(getattr(module, name), types.ModuleType), f"{package}.{name}"


def test_everything_shows_itself_in_a_notebook_with_what_is_foreign_escaped():
    config = grokmap.RunConfig.from_dict(
        {
            "task": "modular_addition",
            "task.modulus": 7,
            "model": "mlp",
            "optimizer": "adamw",
            "fraction": 0.5,
            "steps": 9,
        }
    )
    assert f"RunConfig {config.run_id}" in config._repr_html_()
    columns = {"step": np.array([1, 9]), "train_accuracy": np.array([0, 1.0]), "val_accuracy": np.array([0, 0.1])}
    record = grokcore.RunRecord(config=config, outcome=grokcore.Outcome.FAILED, columns=columns, reason="<script>no")
    html = record._repr_html_()
    assert ("&lt;script&gt;no" in html, "<script>" in html) == (True, False)
    assert ">after 9<" in html
    spec = grokmap.SweepSpec(
        name="one",
        run=config.to_dict(),
        space={"fraction": grokmap.Range(low=0.2, high=0.9)},
        rule=grokmap.RegimeRule(budget=9, ratio=5),
        runs=3,
    )
    assert repr(spec) == "<SweepSpec 'one': 3 runs over fraction, chosen by sobol>"
    assert "low 0.2, high 0.9" in spec._repr_html_()


def test_a_sweep_that_is_not_there_is_a_sentence(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "spec.toml").write_text("")
    with pytest.raises(DataError, match=r"there is no sweep 'defualt'.*Sweeps there: other"):
        grokmap.load("defualt", tmp_path)
