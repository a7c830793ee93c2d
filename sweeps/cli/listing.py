"""``grokmap list``: every family's members with their fields, and the same as a page of the documentation.

A family is found by its folder: a package of ours with a ``base.py`` that holds a registry. There is no list to edit.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeps.cli.tables import print_table

if TYPE_CHECKING:
    from grokcore.config.reference import Entry
    from grokcore.config.registry import Registry

PACKAGES = ("grokcore", "sweeps", "analysis")
"""Packages whose folders may be families, in the order of the list."""
RUN = "run"
"""Name under which the run itself is listed, which has a part of each family and fields of its own."""


def list_(
    family: Annotated[str | None, typer.Argument(help="tasks, models, …, or recipes; all if not given.")] = None,
    name: Annotated[str | None, typer.Argument(help="One of them: its definition, and its fields.")] = None,
    components: Annotated[Path | None, typer.Option(help="Folder of tasks, models and so on of one's own.")] = None,
) -> None:
    """List the parts there are, with fields, defaults, ranges and source; `run` is the run that has them.

    For example: grokmap list, grokmap list optimizers, grokmap list optimizers adamw, grokmap list run
    """
    from rich.console import Console

    from grokcore.config.folders import use_folder
    from grokcore.config.reference import describe
    from grokcore.errors import ConfigError, unknown_name
    from sweeps.recipes.recipe import names as recipe_names

    console = Console(highlight=False, markup=False)
    if components is not None:
        use_folder(components)
    found = dict(families())
    if family is None:
        parts = [(one, ", ".join(registry.names)) for one, registry in found.items()]
        own = ", ".join(field.name for field in run_entry().fields)
        print_table(console, ("family", "parts"), [(RUN, own), *parts, ("recipes", ", ".join(recipe_names()))])
        console.print("\nMore: grokmap list FAMILY, grokmap list FAMILY NAME")
    elif family == "recipes":
        from sweeps.cli import recipes

        if name is None:
            recipes.print_recipes(console)
        else:
            recipes.show(name)
    elif family == RUN:
        _print_entry(console, run_entry())
    elif family not in found:
        raise ConfigError([unknown_name("family", family, (RUN, *found, "recipes"))])
    elif name is None:
        rows = [(one, describe(found[family], one).summary) for one in found[family].names]
        print_table(console, (found[family].kind, "what it is"), rows)
        console.print(f"\nFields, defaults and ranges: grokmap list {family} NAME")
    else:
        _print_entry(console, describe(found[family], name))


def run_entry() -> Entry:
    """Return what a run's configuration is, with its own fields."""
    from grokcore.config.reference import describe_class
    from grokcore.run_config import RunConfig

    return describe_class(RunConfig, RUN)


def families() -> list[tuple[str, Registry[Any]]]:
    """Return every family's name and registry: what a run needs first."""
    from grokcore.config.folders import FAMILIES

    order = {name: place for place, name in enumerate(FAMILIES)}
    return sorted(_families(), key=lambda found: order.get(found[0], len(order)))


def _families() -> Iterator[tuple[str, Registry[Any]]]:
    from grokcore.config.registry import Registry

    for package in PACKAGES:
        for folder in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            if folder.ispkg and importlib.util.find_spec(f"{folder.name}.base"):
                for value in vars(importlib.import_module(f"{folder.name}.base")).values():
                    if isinstance(value, Registry) and value.package == folder.name:
                        yield value.family, value


def _print_entry(console: Any, entry: Entry) -> None:
    console.print(f"{entry.name}    ({entry.file})\n\n{entry.definition}")
    for name, value in entry.facts.items():
        console.print(f"{name}: {value}")
    if entry.fields:
        console.print()
        rows = [(one.name, one.default or "(must be given)", one.values, one.meaning) for one in entry.fields]
        print_table(console, ("field", "default", "may be", "meaning"), rows)


def page() -> str:
    """Return the same as a page in Markdown."""
    from grokcore.config.reference import describe

    lines = [
        "# Every part there is",
        "",
        "This page is made from the parts themselves; `grokmap list FAMILY NAME` prints the same.",
        "A field without a default must be given. A specification names a part, or has a table of its name and fields:",
        '`optimizer = {name = "adamw", decay = 1.0}`.',
    ]
    lines += ["", "## A run", *_section(run_entry())]
    for family, registry in families():
        lines += ["", f"## {family.capitalize()}"]
        for name in registry.names:
            lines += _section(describe(registry, name))
    return "\n".join(lines) + "\n"


def _section(entry: Entry) -> Iterator[str]:
    yield from ("", f"### `{entry.name}`", "", entry.definition, "")
    facts = [f"{name}: {value}" for name, value in entry.facts.items()]
    yield "; ".join([f"Defined in `{entry.file}`", *facts]) + "."
    if entry.fields:
        yield from ("", "| field | default | may be | meaning |", "|---|---|---|---|")
        for field in entry.fields:
            cells = (f"`{field.name}`", field.default and f"`{field.default}`", field.values, field.meaning)
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
