"""Arrows point one way: who may import whom, and which heavy library has which owner."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("grokcore", "analysis", "sweeps", "cluster", "benchmarks")

LAYERS = {
    "grokcore": {"grokcore"},
    "analysis": {"analysis", "grokcore"},
    "sweeps": {"sweeps", "analysis", "grokcore"},
    "cluster": {"cluster", "sweeps", "analysis", "grokcore"},
}
"""Package to the packages of ours that it may import."""

CORE_LIBRARIES = {"torch", "numpy", "pandas", "pydantic", "annotated_types", "safetensors"}
"""What grokcore may import from others."""

OWNERS = {
    "torch": ("grokcore/", "cluster/", "benchmarks/"),
    "ray": ("sweeps/", "cluster/", "benchmarks/"),
    "optuna": ("sweeps/", "cluster/", "benchmarks/"),
    "mlflow": ("sweeps/tracking/mlflow_mirror.py", "analysis/runs/mlflow.py"),
    "matplotlib": ("analysis/figures/", "benchmarks/"),
    "typer": ("sweeps/", "cluster/"),
    "rich": ("sweeps/", "cluster/"),
}
"""Heavy library to the places that may import it."""


def imports(path: Path) -> list[tuple[int, str]]:
    """Return (line, package) of every import that happens when the code runs, wherever it stands."""
    found, tree = [], ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name.partition(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.append((node.lineno, node.module.partition(".")[0]))
    return found


def sources() -> list[Path]:
    return sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))


def complaints() -> list[str]:
    wrong = []
    for path in sources():
        where = path.relative_to(ROOT).as_posix()
        package = where.partition("/")[0]
        for line, name in imports(path):
            allowed = LAYERS.get(package)
            if allowed is not None and name in OURS and name not in allowed:
                wrong.append(f"{where}:{line} imports {name}; {package} may import only {', '.join(sorted(allowed))}")
            if name in OWNERS and not where.startswith(OWNERS[name]):
                wrong.append(f"{where}:{line} imports {name}; only {', '.join(OWNERS[name])} may import it")
            foreign = name not in OURS and name not in sys.stdlib_module_names
            if package == "grokcore" and foreign and name not in CORE_LIBRARIES:
                libraries = ", ".join(sorted(CORE_LIBRARIES))
                wrong.append(f"{where}:{line} imports {name}; grokcore may import only {libraries}")
    return wrong


def test_arrows_point_one_way_and_heavy_libraries_have_owners():
    wrong = complaints()
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_rules_can_be_broken(tmp_path, monkeypatch):
    (tmp_path / "grokcore").mkdir()
    (tmp_path / "grokcore" / "bad.py").write_text("import ray\nfrom sweeps.spec.sweep_spec import SweepSpec\n")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    text = "\n".join(complaints())
    assert "grokcore/bad.py:1 imports ray; only sweeps/" in text
    assert "grokcore/bad.py:2 imports sweeps; grokcore may import only grokcore" in text


@pytest.mark.parametrize("package", ["grokcore", "analysis", "sweeps", "cluster"])
def test_our_packages_are_the_ones_imported(package):
    # `sweeps`, `cluster` and `analysis` are names of other people's packages too.
    module = importlib.import_module(package)
    assert Path(module.__file__).parent == ROOT / package


def test_every_module_says_what_it_is_on_its_first_line():
    silent = [path.relative_to(ROOT).as_posix() for path in sources() if not path.read_text().startswith('"""')]
    assert not silent
