"""What a word of a command line means: a specification's file, or a recipe by name."""

from __future__ import annotations

import dataclasses
import math
import runpy
from pathlib import Path

from grokcore.errors import ConfigError, unknown_name
from sweeps.recipes.recipe import Recipe, names, recipe
from sweeps.spec.space import Choice
from sweeps.spec.sweep_spec import SweepSpec


def recipe_named(word: Path | str) -> Recipe | None:
    """Return the recipe that a word names; None if it is meant as a file: one that is there, or has a suffix.

    Raises `ConfigError` with the nearest name for a word that is neither.
    """
    path, name = Path(word), str(word)
    if path.is_file() or (name not in names() and (path.suffix or path.parent != Path())):
        return None
    if name not in names():
        found = unknown_name("recipe", name, names())
        raise ConfigError([f"{found} A file is written with its suffix, as {name}.toml."])
    return recipe(name)


def specification(
    word: Path, *, quick: bool = False, budget: float | None = None, runs: int | None = None
) -> SweepSpec:
    """Return the sweep of a TOML file, of a script that has a `spec`, or of a recipe, its cheap form if `quick`.

    Raises `ConfigError` for an unknown recipe, one that costs more than `budget` core-seconds, of which `runs` of its
    runs have their share, and for options of recipes with a file.
    """
    found = recipe_named(word)
    if found is not None:
        spec = found.sweep(quick=quick)
        found.check_budget(budget, quick=quick, runs=runs)
        return spec if runs is None else with_runs(spec, runs)
    if quick or budget is not None:
        option = "--quick" if quick else "--budget"
        raise ConfigError([f"{option} is for recipes, whose cost is known; {word} is a file. Give --runs instead."])
    return _of_script(word) if word.suffix == ".py" and word.is_file() else SweepSpec.from_toml(word)


def _of_script(path: Path) -> SweepSpec:
    """Return the `spec` of a script, as sweep.py has one; what it does as a program is not done."""
    found = runpy.run_path(str(path)).get("spec")
    if not isinstance(found, SweepSpec):
        raise ConfigError([f"{path} has no spec that is a SweepSpec; write one as sweep.py does, or give a TOML file."])
    return found


def with_runs(spec: SweepSpec, runs: int) -> SweepSpec:
    """Return the sweep with another number of runs; a grid over seeds that has fewer points gets more seeds."""
    space = dict(spec.space)
    seeds = space.get("seed")
    if spec.sampler == "grid" and isinstance(seeds, Choice):
        points = int(spec.sampler_options.get("points", 8))
        others = math.prod(len(side.grid(points)) for name, side in space.items() if name != "seed")
        if runs > others * len(seeds.values):
            space["seed"] = Choice(values=tuple(range(math.ceil(runs / others))))
    return dataclasses.replace(spec, runs=runs, space=space)
