"""Arrows point one way: who may import whom, and which heavy library has which owner.

Every import counts, wherever it stands: at the top of a module, inside a function, or for the type checker alone.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections import defaultdict
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

ROOMS = {
    "grokcore": [
        {"errors", "lazy_imports", "lazy_torch", "siblings", "version", "atomic_files", "notebook_tables"},
        {"numerics", "config", "output_paths"},
        {"algebra"},
        {"tasks"},
        {"models"},
        {"losses", "optimizers", "initialisations"},
        {"transforms"},
        {"run_config"},
        {"data", "records", "cautions"},
        {"views"},
        {"measures"},
        {"engine"},
        {"training", "inspection", "transfer"},
    ],
    "analysis": [
        {"runs"},
        {"importing", "models", "statistics"},
        {"maps", "forecast"},
        {"figures"},
        {"pages"},
        {"exports"},
    ],
    "cluster": [{"launch", "plan"}, {"diagnosis", "services"}, {"commands"}, {"cli"}],
}
"""Rooms of a package, from the ground up: a room imports from those below it, and from none beside or above it."""

ROOMY = 14
"""Modules that may stand side by side in a folder, ``__init__`` and ``__main__`` apart, unless it is a family's."""

FAMILIES = {
    "grokcore/tasks", "grokcore/models", "grokcore/losses", "grokcore/optimizers", "grokcore/transforms",
    "grokcore/initialisations", "grokcore/measures", "sweeps/samplers", "sweeps/stopping",
    "analysis/figures",
}  # fmt: skip
"""Folders with a base.py and one file a member."""

CORE_LIBRARIES = {"torch", "numpy", "numba", "llvmlite", "pandas", "pydantic", "annotated_types", "safetensors"}
"""What grokcore may import from others."""

OWNERS = {
    "torch": ("grokcore/", "cluster/", "benchmarks/"),
    "numba": ("grokcore/numerics/loops.py",),
    "llvmlite": ("grokcore/numerics/registers/writer.py",),
    "ray": ("sweeps/", "cluster/", "benchmarks/"),
    "optuna": ("sweeps/", "cluster/", "benchmarks/"),
    "mlflow": ("sweeps/tracking/", "analysis/runs/mlflow.py", "analysis/importing/mlflow_experiment.py"),
    "matplotlib": ("analysis/figures/", "analysis/exports/", "benchmarks/"),
    "typer": ("sweeps/", "cluster/"),
    "rich": ("sweeps/", "cluster/"),
    "starlette": ("sweeps/watching/",),
    "uvicorn": ("sweeps/watching/",),
}
"""Heavy library to the places that may import it."""


def sources() -> list[Path]:
    return sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, known: set[str]) -> list[tuple[int, str]]:
    """Return (line, module) of every import in a file; ``from package import module`` is an import of the module."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found += [(node.lineno, name) for name in sorted(names & known) or [node.module]]
    return found


def arrows() -> dict[str, set[str]]:
    """Return each module of ours and the modules of ours that it imports; a package's face has none."""
    paths = {module_of(path): path for path in sources()}
    found: dict[str, set[str]] = defaultdict(set)
    for module, path in paths.items():
        if "." in module or path.name != "__init__.py":
            found[module] = {name for _, name in imports(path, set(paths)) if name in paths and name != module}
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the sets of modules that import one another in a loop (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for following in sorted(graph.get(node, ())):
            if following not in index:
                visit(following)
                low[node] = min(low[node], low[following])
            elif following in stack:
                low[node] = min(low[node], index[following])
        if low[node] == index[node]:
            component = [stack.pop()]
            while component[-1] != node:
                component.append(stack.pop())
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def complaints() -> list[str]:
    wrong = []
    known = {module_of(path) for path in sources()}
    for path in sources():
        where = path.relative_to(ROOT).as_posix()
        package = where.partition("/")[0]
        for line, module in imports(path, known):
            name = module.partition(".")[0]
            allowed = LAYERS.get(package)
            if allowed is not None and name in OURS and name not in allowed:
                wrong.append(f"{where}:{line} imports {name}; {package} may import only {', '.join(sorted(allowed))}")
            if name in OWNERS and not where.startswith(OWNERS[name]):
                wrong.append(f"{where}:{line} imports {name}; only {', '.join(OWNERS[name])} may import it")
            foreign = name not in OURS and name not in sys.stdlib_module_names
            if package == "grokcore" and foreign and name not in CORE_LIBRARIES:
                libraries = ", ".join(sorted(CORE_LIBRARIES))
                wrong.append(f"{where}:{line} imports {name}; grokcore may import only {libraries}")
            if name == package and package in ROOMS:
                wrong += _upward(where, line, module)
    return wrong


def _upward(where: str, line: int, module: str) -> list[str]:
    """Return the complaint about an import from a room beside or above, or of a package's own face."""
    package, *rest = Path(where).with_suffix("").parts
    floors = {room: floor for floor, rooms in enumerate(ROOMS[package]) for room in rooms}
    here, there = rest[0], module.split(".")[1] if "." in module else "__init__"
    if here in ("__init__", "__main__", there):
        return []
    if here not in floors or there not in floors:
        return [f"{where}:{line} imports {module}; {here if here not in floors else there} has no floor in ROOMS"]
    if floors[there] < floors[here]:
        return []
    return [f"{where}:{line} imports {module}; {package}/{here} stands below or beside {package}/{there}"]


def test_arrows_point_one_way_and_heavy_libraries_have_owners():
    wrong = complaints()
    assert not wrong, "\n" + "\n".join(wrong)


def test_no_modules_import_one_another_in_a_circle():
    found = circles(arrows())
    assert not found, "\n".join(" <-> ".join(circle) for circle in found)


def test_folders_are_small_enough_to_know():
    crowded = []
    for folder in sorted({path.parent for path in sources()}):
        where = folder.relative_to(ROOT).as_posix()
        modules = [path for path in folder.glob("*.py") if not path.name.startswith("__")]
        if where not in FAMILIES | {"benchmarks"} and len(modules) > ROOMY:
            crowded.append(f"{where} has {len(modules)} modules side by side; at most {ROOMY}")
    assert not crowded


def test_the_rules_can_be_broken(tmp_path, monkeypatch):
    for folder in ("grokcore/models", "grokcore/engine", "analysis"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "grokcore" / "bad.py").write_text("import ray\nfrom sweeps.spec import SweepSpec\n")
    (tmp_path / "grokcore/models/mlp.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from grokcore.engine.cohort import Cohort\n"
    )
    (tmp_path / "grokcore/engine/cohort.py").write_text("def f():\n    from grokcore.models import mlp\n")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    text = "\n".join(complaints())
    assert "grokcore/bad.py:1 imports ray; only sweeps/" in text
    assert "grokcore/bad.py:2 imports sweeps; grokcore may import only grokcore" in text
    assert "grokcore/models/mlp.py:3 imports grokcore.engine.cohort; grokcore/models stands below" in text
    assert circles(arrows()) == [["grokcore.engine.cohort", "grokcore.models.mlp"]]


@pytest.mark.parametrize("package", ["grokcore", "analysis", "sweeps", "cluster"])
def test_our_packages_are_the_ones_imported(package):
    # `sweeps`, `cluster` and `analysis` are names of other people's packages too.
    module = importlib.import_module(package)
    assert Path(module.__file__).parent == ROOT / package


def test_every_module_says_what_it_is_on_its_first_line():
    silent = [path.relative_to(ROOT).as_posix() for path in sources() if not path.read_text().startswith('"""')]
    assert not silent
