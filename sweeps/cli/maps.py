"""Commands on maps: draw one, compare two; nothing is trained."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from sweeps.cli.options import RESULTS, Axes, Budget, Columns, Gap, Ratio, Results, Style, Threshold, Width


def _held(option: str, words: list[str]) -> dict[str, float | str]:
    """Return what the words NAME=VALUE of an option hold: axes at numbers, categories at levels."""
    from grokcore.errors import ConfigError

    held: dict[str, float | str] = {}
    for word in words:
        name, _, text = (part.strip() for part in word.partition("="))
        if not (name and text):
            raise ConfigError([f"{option} {word}: give an axis and a number, or a category and a level, as rate=0.01."])
        try:
            held[name] = float(text)
        except ValueError:
            held[name] = text
    return held


def pairs(option: str, words: list[str], example: str) -> dict[str, str]:
    """Return the words NAME=VALUE of an option as a mapping."""
    from grokcore.errors import ConfigError

    pairs = {name.strip(): value.strip() for name, _, value in (word.partition("=") for word in words)}
    wrong = [word for word in words if not all(part.strip() for part in word.partition("="))]
    if wrong:
        raise ConfigError([f"{option} {word}: give {example}." for word in wrong])
    return pairs


def _source(path: Path, column: list[str] | None, axis: list[str] | None, rule: dict[str, Any]) -> Any:
    """Return the runs at a path, completed under the rule that is asked for, and say how they were understood."""
    from analysis.runs.sources import read_source

    columns = pairs("--column", column or [], "a name and the column it stands for, as t_gen=grokked_at")
    axes = pairs("--axis", axis or [], "a column and its scale, as decay=log")
    runs = read_source(path, columns, axes)
    runs = runs.completed(runs.rule_with(**rule).budget)
    for note in [*runs.notes, *([f"{runs.guess} Others: --axis NAME=log"] if runs.guess else [])]:
        typer.echo(f"{path.name}: {note}")
    return runs


def map_(  # noqa: PLR0917 - one parameter an option
    source: Annotated[
        Path, typer.Argument(help="A sweep, by name or folder, or a table of anyone's runs (.parquet, .csv, .tsv).")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for the map; the sweep's own if not given.")] = None,
    x: Annotated[str | None, typer.Option(help="Axis drawn across.")] = None,
    y: Annotated[str | None, typer.Option(help="Axis drawn upwards.")] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            help="Another axis held, as rate=0.01, or a category at one level, as transform=none; may be repeated."
        ),
    ] = None,
    axis: Axes = None,
    column: Columns = None,
    threshold: Threshold = None,
    budget: Budget = None,
    gap: Gap = None,
    ratio: Ratio = None,
    results: Results = RESULTS,
    style: Style = "screen",
    width: Width = None,
) -> None:
    """Draw the regime map of a sweep; nothing is trained.

    Under the sweep's own rule, or another. For example: grokmap map NAME --x fraction --y decay --at rate=0.01
    """
    from rich.console import Console

    from analysis.exports.map import export_map
    from sweeps.stages import stages
    from sweeps.store.run_store import meant
    from sweeps.tracking.browsing import with_tracker

    source = meant(source, results)
    held = _held("--at", at or [])
    rule = {"threshold": threshold, "budget": budget, "gap": gap, "ratio": ratio}
    runs = _source(source, column, axis, rule)
    folder = out or (source if source.is_dir() else source.parent)
    if (source / "spec.toml").exists():
        runs = with_tracker(runs, source)

    begun = time.monotonic()
    with stages(Console(stderr=True, highlight=False)) as say:
        paths = export_map(runs, folder, runs.rule_with(**rule), x=x, y=y, at=held, style=style, width=width, say=say)
    for path in paths.values():
        typer.echo(path)
    typer.echo(f"drawn in {time.monotonic() - begun:.0f} s", err=True)
    _show_in_mlflow(source, paths, None if folder.resolve() == source.resolve() else f"maps/{folder.resolve().name}")


def _show_in_mlflow(source: Path, paths: dict[str, Path], place: str | None) -> None:
    """Log files to the run of the sweep they were made from, where there is one and it is mirrored."""
    from sweeps.tracking.mlflow_mirror import offer

    if (source / "spec.toml").exists():
        offer(source.resolve(), None, list(paths.values()), place, lambda text: typer.echo(text, err=True))


def compare(  # noqa: PLR0917 - one parameter an option
    first: Annotated[Path, typer.Argument(help="A: a sweep, by name or folder, or a .parquet or .csv file of runs.")],
    second: Annotated[
        Path | None, typer.Argument(help="B: the same, over the same axes; A itself where only levels differ.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the figure, the page and the table.")] = Path("comparison"),
    along: Annotated[
        str | None, typer.Option(help="Axis along which the shift is measured; the first if not said.")
    ] = None,
    at: Annotated[
        list[str] | None, typer.Option(help="The level of a category in both, as transform=none; repeated.")
    ] = None,
    versus: Annotated[
        list[str] | None, typer.Option(help="The level in B where it is another, as transform=grokfast_ema; repeated.")
    ] = None,
    edge: Annotated[str, typer.Option(help="The two regimes whose edge is compared.")] = "memorization,grokking",
    axis: Axes = None,
    column: Columns = None,
    threshold: Threshold = None,
    budget: Budget = None,
    gap: Gap = None,
    ratio: Ratio = None,
    results: Results = RESULTS,
    style: Style = "screen",
    width: Width = None,
) -> None:
    """Say how an edge moved from one sweep to another, or from one level of a category to another.

    The shift comes with its interval. For example: grokmap compare A B --along decay, or
    grokmap compare A --at transform=none --versus transform=grokfast_ema
    """
    from analysis.exports.comparison import export_comparison
    from grokcore.errors import ConfigError
    from sweeps.store.run_store import meant

    if second is None and not versus:
        raise ConfigError(["give a second sweep, or the level it is compared with, as --versus transform=none."])
    levels = _held("--at", at or []), _held("--at", at or []) | _held("--versus", versus or [])
    first = meant(first, results)
    second = first if second is None else meant(second, results)
    regimes = tuple(name.strip() for name in edge.split(","))
    if len(regimes) != 2:
        raise ConfigError([f"--edge {edge}: give two regimes, as memorization,grokking."])
    parts = {"threshold": threshold, "budget": budget, "gap": gap, "ratio": ratio}
    runs = _source(first, column, axis, parts)
    others = runs if second == first else _source(second, column, axis, parts)
    # Without a word about the rule each sweep keeps its own.
    rule = None if all(part is None for part in parts.values()) else runs.rule_with(**parts)
    chosen: dict[str, Any] = {"regimes": tuple(regimes), "along": along, "at": levels, "rule": rule}
    chosen |= {"style": style, "width": width}
    found, paths = export_comparison(runs, others, out, **chosen)
    typer.echo(found.sentence)
    for path in paths.values():
        typer.echo(path)
    for source in (first, second):
        _show_in_mlflow(source, paths, f"compare/{first.resolve().name} and {second.resolve().name}")
