"""Recipe: a published experiment as a sweep that can be run, its open choices, its claims and its cost.

A file holds ``[recipe]`` (paper, figure, what it shows, ``ours``, cost), ``[[claims]]``, perhaps ``[quick]`` and
``[donor]``, and beside them the fields of a sweep's specification, in its own language.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Annotated, Any

from annotated_types import Ge, Gt, MinLen

from analysis.statistics.claims import Question
from analysis.statistics.questions import QUESTIONS
from grokcore.config.component import Component
from grokcore.errors import ConfigError, unknown_name
from grokcore.run_config import flatten
from sweeps.spec import toml
from sweeps.spec.one_run import one_run
from sweeps.spec.sweep_spec import SweepSpec

Text = Annotated[str, MinLen(1)]

QUICK = "-quick"
"""What the name of a recipe's cheap form ends with."""


@dataclass(frozen=True, kw_only=True)
class Claim(Component):
    """One thing that a paper says of the experiment, and the question that puts it to runs."""

    says: Text
    """The claim in a sentence."""
    published: Text
    """The published number with its tolerance, or the ordering, where no number is certain."""
    source: Text
    """Where that is from."""
    question: Question
    """What is asked of the runs; its `low` and `high` are the region that agrees."""
    remark: str = ""
    """What a reader of the verdict should know: what was tried where it differs, say."""


@dataclass(frozen=True, kw_only=True)
class Recipe(Component):
    """A published experiment."""

    name: Text
    """The file's name."""
    paper: Text
    """Title of the paper."""
    authors: Text
    """Its authors."""
    year: Annotated[int, Ge(1900)]
    """When it appeared."""
    link: Text
    """Where it is: arXiv and its number, or another address."""
    figure: Text
    """Which figure, table or section."""
    shows: Text
    """What the experiment shows."""
    ours: tuple[str, ...]
    """Every choice that the paper, or what we know of it for certain, leaves open."""
    cost: Annotated[float, Gt(0)]
    """Core-seconds that all runs take at most, if each spends its whole budget: ``python -m benchmarks.recipes``."""
    quick_cost: Annotated[float, Gt(0)] | None = None
    """The same for the cheap form."""
    spec: SweepSpec
    """The sweep, of the recipe's name."""
    quick: SweepSpec | None = None
    """The cheap form, if it has one: fewer seeds or steps of the same experiment."""
    donor: Mapping[str, Any] = field(default_factory=dict)
    """Fields, by dotted name, in which the smaller run differs whose embedding each run begins with once more."""
    claims: tuple[Claim, ...] = field(default=())
    """What was published."""

    def complaints(self) -> Iterator[str]:
        """Yield that the choices left open are not named."""
        if not self.ours or not all(self.ours):
            yield "ours = []: name the choices that the paper leaves open."
        if (self.quick is None) != (self.quick_cost is None):
            yield "quick_cost: goes with [quick], and [quick] with it."

    def sweep(self, *, quick: bool = False) -> SweepSpec:
        """Return the sweep, or its cheap form; raises `ConfigError` if it has none."""
        if not quick:
            return self.spec
        if self.quick is None:
            cheap = ", ".join(name for name in names() if recipe(name).quick is not None)
            raise ConfigError([f"--quick: recipe {self.name} has no cheap form. Those that have one: {cheap}."])
        return self.quick

    def price(self, *, quick: bool = False, runs: int | None = None) -> float:
        """Return its cost in core-seconds, or that of so many of its runs."""
        whole = self.quick_cost if quick and self.quick_cost is not None else self.cost
        return whole if runs is None else whole * runs / self.sweep(quick=quick).runs

    def check_budget(self, budget: float | None, *, quick: bool = False, runs: int | None = None) -> None:
        """Raise `ConfigError` if it costs more than `budget` core-seconds; says the cost and what is cheaper."""
        price = self.price(quick=quick, runs=runs)
        if budget is None or price <= budget:
            return
        affordable = int(budget / price * (runs or self.sweep(quick=quick).runs))
        form = " --quick" if quick else ""
        cheaper = [f"grokmap sweep {self.name}{form} --runs {affordable}"] if affordable else []
        if not quick and self.quick_cost is not None and self.quick_cost <= budget:
            cheaper.append(f"--quick ({self.quick_cost:,.0f})")
        remedy = f" Cheaper: {' or '.join(cheaper)}." if cheaper else " Give a larger budget."
        takes = f"takes up to {price:,.0f} core-seconds, more than the budget of {budget:,.0f}"
        raise ConfigError([f"recipe {self.name} {takes}.{remedy}"])

    def run(self, changes: Iterable[str] = ()) -> dict[str, Any]:
        """Return the flat fields of one run of it, as `one_run` does."""
        return one_run(self.spec, self.name, changes)


@functools.cache
def names() -> tuple[str, ...]:
    """Return the names of all recipes, sorted."""
    files = (entry.name for entry in resources.files(__package__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml")))


@functools.cache
def recipe(name: str) -> Recipe:
    """Return the recipe; raises `ConfigError` with the nearest name if there is none."""
    if name not in names():
        raise ConfigError([unknown_name("recipe", name, names())])
    return parse(name, resources.files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Recipe:
    """Read a recipe's file; raises `ConfigError` with every complaint, each with the recipe's name."""
    try:
        values = toml.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"recipe {name}: is not a TOML file: {error}."]) from None
    complaints: list[str] = []
    head = {**_table(values.pop("recipe", {})), "name": name}
    claims = tuple(_claims(values.pop("claims", ()), complaints))
    changes = values.pop("quick", None)
    head["donor"] = flatten(_table(values.pop("donor", {})))
    try:
        head["spec"] = SweepSpec.from_dict({"name": name, **values})
        if changes is not None:
            head["quick"] = SweepSpec.from_dict(_changed({"name": name + QUICK, **values}, _table(changes)))
    except ConfigError as error:
        complaints += error.complaints
    if isinstance(head.get("ours"), list):
        head["ours"] = tuple(head["ours"])
    found = None if complaints else Recipe.from_section({**head, "claims": claims}, "recipe", complaints)
    if found is None:
        raise ConfigError([f"recipe {name}: {complaint}" for complaint in complaints])
    return found


def _table(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _changed(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a specification whose sections have some fields of `changes` in place of their own."""
    changed = dict(values)
    for name, change in changes.items():
        both = isinstance(change, Mapping) and isinstance(changed.get(name), Mapping)
        changed[name] = {**changed[name], **change} if both else change
    return changed


def _claims(tables: Sequence[Any], complaints: list[str]) -> Iterator[Claim]:
    for place, table in enumerate(tables):
        where = f"claims[{place}]"
        asked = _table(table.get("question"))
        kind = asked.pop("kind", None)
        if kind not in QUESTIONS:
            complaints.append(f"{where}.question: {unknown_name('kind', kind, QUESTIONS)}")
            continue
        question = QUESTIONS[kind].from_section(asked, f"{where}.question", complaints)
        if question is not None:
            claim = Claim.from_section({**table, "question": question}, where, complaints)
            if claim is not None:
                yield claim
