"""Commands that make more of sweeps that are there: extend one, merge two."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweeps.cli.options import RESULTS, Results, Until


def extend(  # noqa: PLR0917 - one parameter an option
    sweep: Annotated[Path, typer.Argument(help="The sweep, by name or folder.")],
    runs: Annotated[str | None, typer.Option(help="How many runs it is to have in all, or +N for N more.")] = None,
    widen: Annotated[
        list[str] | None,
        typer.Option(help="A range's new ends, as fraction=0.1:0.95, or one more value of a list; repeated."),
    ] = None,
    within: Annotated[
        list[str] | None,
        typer.Option(help="Choose further runs only there, as fraction=0.3:0.5; repeated. all ends it."),
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="Who chooses further runs: sobol, boundary, ...")] = None,
    enqueue: Annotated[
        Path | None, typer.Option(help="Table (CSV, TSV) of points to run: a row each, a column for each varied field.")
    ] = None,
    until: Until = None,
    results: Results = RESULTS,
    draw: Annotated[bool, typer.Option("--map/--no-map", help="Draw the map at the end.")] = True,
    mlflow: Annotated[bool, typer.Option("--mlflow/--no-mlflow", help="Mirror runs in MLflow.")] = True,
    address: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster; found by itself if there is one.")
    ] = None,
) -> None:
    """Give a sweep more runs, further out, finer somewhere, by another sampler, or of your own.

    The runs that it has are kept, and none is trained twice. For example: grokmap extend NAME --runs +128 --within
    fraction=0.3:0.5 --sampler boundary
    """
    import dataclasses

    from grokcore.errors import ConfigError
    from sweeps.cli.sweep import conduct, there
    from sweeps.points import read_points
    from sweeps.spec.box import widened
    from sweeps.store.run_store import meant
    from sweeps.whole_sweep import SweepOptions, new_points

    if not any((runs, widen, within, sampler, enqueue, until)):
        raise ConfigError(["say how: --runs, --widen, --within, --sampler, --enqueue or --until."])
    folder = meant(sweep, results)
    spec = widened(there(folder, results), widen or ())
    if within:
        spec = dataclasses.replace(spec, focus=() if within == ["all"] else tuple(within))
    if sampler is not None and sampler != spec.sampler:
        spec = dataclasses.replace(spec, sampler=sampler, sampler_options={})
    if until is not None:
        spec = dataclasses.replace(spec, until=until)
    points = read_points(enqueue, spec) if enqueue is not None else []
    asked, new = new_points(folder, spec, points)
    spec = dataclasses.replace(spec, runs=_wanted(runs, spec.runs, asked + len(new)))
    options = SweepOptions(
        results=folder.resolve().parent, mlflow=mlflow, map=draw, address=address, extend=True, enqueue=points
    )
    conduct(spec, options)


def _wanted(text: str | None, runs: int, least: int) -> int:
    """Return how many runs are wanted in all: as said, at least those there and those of one's own."""
    from grokcore.errors import ConfigError

    if text is None:
        return max(runs, least)
    if not text.removeprefix("+").isdecimal() or int(text) < 1:
        raise ConfigError([f"--runs {text}: give a whole number of runs in all, as 384, or of more runs, as +128."])
    return max(runs, least) + int(text) if text.startswith("+") else int(text)


def merge(
    first: Annotated[Path, typer.Argument(help="A sweep, by name or folder.")],
    second: Annotated[Path, typer.Argument(help="Another over the same fields.")],
    name: Annotated[str, typer.Option(help="Name of the sweep that is made of them.")],
    results: Results = RESULTS,
    draw: Annotated[bool, typer.Option("--map/--no-map", help="Draw its map.")] = True,
    mlflow: Annotated[bool, typer.Option("--mlflow/--no-mlflow", help="Mirror runs in MLflow.")] = True,
) -> None:
    """Make one sweep of two that vary the same fields; both stay as they are.

    It has the finished runs of both, each once, over a space that holds both, and can be extended like any other. For
    example: grokmap merge here there --name both
    """
    from sweeps.cli.sweep import conduct, there
    from sweeps.merging import kept_of_first, merge_sweeps, unfinished
    from sweeps.store.run_store import meant
    from sweeps.whole_sweep import SweepOptions

    folders = [meant(folder, results) for folder in (first, second)]
    for folder in folders:
        there(folder, results)
    spec, runs = merge_sweeps(folders[0], folders[1], name, results)
    left = sum(unfinished(folder) for folder in folders)
    typer.echo(f"{runs} runs in {results / name}" + (f"; {left} that had not finished are left out" if left else ""))
    for change in kept_of_first(*folders):
        typer.echo(f"it goes on as {folders[0].name} does ({folders[0].name} → {folders[1].name}): {change}")
    conduct(spec, SweepOptions(results=results, mlflow=mlflow, map=draw))
