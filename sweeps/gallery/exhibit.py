"""Exhibit: run recipes, keep each as soon as it is done, and write the page; what is kept already is not run again."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

from grokcore.errors import ConfigError, DataError, unknown_name
from grokcore.numerics.processor import pin_threads
from sweeps.gallery import page
from sweeps.gallery.experiment import Experiment, conduct, is_of, load, save
from sweeps.recipes.recipe import Recipe, names, recipe

NIGHT = 6 * 3600.0
"""Core-seconds that a recipe may take where none is named and no budget is given."""


def chosen(named: Sequence[str], *, quick: bool, budget: float | None) -> list[Recipe]:
    """Return the recipes to run, the cheapest first: those that are named, or all that can be afforded.

    Raises `ConfigError` for an unknown recipe, one without a cheap form and one that costs more than the budget.
    """
    if unknown := [name for name in named if name not in names()]:
        raise ConfigError([unknown_name("recipe", name, names()) for name in unknown])
    if named:
        found = [recipe(name) for name in dict.fromkeys(named)]
        for one in found:
            one.sweep(quick=quick)
            one.check_budget(budget, quick=quick)
    else:
        most = NIGHT if budget is None else budget
        offered = [recipe(name) for name in names()]
        found = [one for one in offered if (one.quick or not quick) and one.price(quick=quick) <= most]
    if not found:
        raise ConfigError([f"--budget {budget:g}: no recipe is as cheap as that; grokmap recipes lists their costs."])
    return sorted(found, key=lambda one: one.price(quick=quick))


def exhibit(found: Sequence[Recipe], folder: Path, *, quick: bool, again: bool, slots: int) -> Iterator[Experiment]:
    """Yield every recipe's experiment as it is there: kept ones first, then each that is run, `slots` at a time.

    Of a recipe that has grown only the runs that are not kept yet are trained, and where the whole form is kept the
    cheap one, which says less, does not take its place. After each that was run its file, its
    pictures and the page of all that is in the folder are written. One that fails is raised when all others are done.
    Raises `DataError` for a damaged file of another recipe, before any runs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept(folder, besides=[one.name for one in found])
    missing: list[tuple[Recipe, Experiment | None]] = []
    for one in found:
        there = _kept(folder, one)
        if there is not None and quick and is_of(there, one, quick=False):
            yield there
            continue
        there = None if again else there
        if there is not None and is_of(there, one, quick=quick):
            yield there
        else:
            missing.append((one, there))
    failures: list[BaseException] = []
    if missing:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(slots, len(missing)), context) as pool:
            going: list[Future[Experiment]] = [pool.submit(_run, one.name, quick, there) for one, there in missing]
            try:
                for done in as_completed(going):
                    if (error := done.exception()) is not None:
                        failures.append(error)
                        continue
                    experiment = done.result()
                    save(folder / f"{experiment.recipe}.parquet", experiment)
                    page.write(folder, kept(folder), pictures=[experiment.recipe])
                    yield experiment
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    else:
        page.write(folder, kept(folder), pictures=[one.name for one in found])
    if failures:
        raise failures[0]


def kept(folder: Path, besides: Sequence[str] = ()) -> list[Experiment]:
    """Return all experiments that a folder keeps of recipes that there are, but those of `besides`."""
    wanted = set(names()) - set(besides)
    return [load(path) for path in sorted(folder.glob("*.parquet")) if path.stem in wanted]


def slots_here() -> int:
    """Return how many recipes run at once: the cores that may be used."""
    return len(os.sched_getaffinity(0))


def _kept(folder: Path, one: Recipe) -> Experiment | None:
    path = folder / f"{one.name}.parquet"
    try:
        return load(path) if path.exists() else None
    except DataError:
        return None


def _run(name: str, quick: bool, before: Experiment | None) -> Experiment:
    pin_threads(1)
    return conduct(recipe(name), quick=quick, before=before)
