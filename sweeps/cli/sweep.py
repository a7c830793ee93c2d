"""Commands on a whole sweep: run it, or go on with it, and write it to MLflow."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeps.cli.options import RESULTS, MaxCost, Quick, Results, Until

if TYPE_CHECKING:
    from sweeps.spec.sweep_spec import SweepSpec


def sweep(  # noqa: PLR0917 - one parameter an option
    spec: Annotated[Path, typer.Argument(help="A specification's TOML file, a recipe, or a sweep's folder, to go on.")],
    name: Annotated[str | None, typer.Option(help="Another name than the specification's.")] = None,
    runs: Annotated[
        int | None,
        typer.Option(help="Another number of runs than the specification's; more than a sweep has extend it."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--continue", help="Go on with the sweep of that name as it was started, but for what is asked for here."
        ),
    ] = False,
    results: Results = RESULTS,
    draw: Annotated[bool, typer.Option("--map/--no-map", help="Draw the map at the end.")] = True,
    mlflow: Annotated[bool, typer.Option("--mlflow/--no-mlflow", help="Mirror runs in MLflow.")] = True,
    address: Annotated[
        str | None,
        typer.Option(help="Ray cluster (HOST:PORT), found by itself if there is one; local for a Ray of its own."),
    ] = None,
    slots: Annotated[
        int | None, typer.Option(min=1, help="Cohorts trained at the same time; all cores that may be used otherwise.")
    ] = None,
    measures: Annotated[
        str | None, typer.Option(help="What is measured: none, light, full, or measures with commas between.")
    ] = None,
    keep_weights: Annotated[
        bool | None, typer.Option("--keep-weights", help="Keep weights at log-spaced steps, for `measure` and `show`.")
    ] = None,
    stopping: Annotated[
        str | None,
        typer.Option(help="Which runs are stopped early: none, hazard, median or asha; grokmap list stopping."),
    ] = None,
    until: Until = None,
    within: Annotated[
        list[str] | None,
        typer.Option(
            help="Only a part of the space, as fraction=0.3:0.5 or transform=none; repeated. Give it a --name."
        ),
    ] = None,
    quick: Quick = False,
    max_cost: MaxCost = None,
) -> None:
    """Run a sweep, or go on with it.

    What is done already is not done again, whatever ended it: the same command goes on. For example: grokmap sweep
    spec.toml, where a first spec.toml is that of any sweep, results/NAME/spec.toml; or a published experiment
    (grokmap recipes): grokmap sweep liu-phase-rates --runs 64.
    """
    from sweeps.cli.options import core_seconds
    from sweeps.recipes.find import specification

    if spec.is_dir():
        spec = spec / "spec.toml"
        results = spec.resolve().parent.parent
    options: dict[str, Any] = {"resume": resume, "results": results, "draw": draw, "mlflow": mlflow, "address": address}
    options["slots"] = slots
    _run(
        specification(spec, quick=quick, budget=core_seconds(max_cost), runs=runs),
        **options,
        name=name,
        runs=runs,
        measures=measures,
        keep_weights=keep_weights,
        stopping=stopping,
        until=until,
        within=within,
    )


def of_script(spec: SweepSpec) -> Callable[..., None]:
    """Return the command of a script that holds a specification: `sweep` without its first argument."""

    def command(**options: Any) -> None:
        _run(spec, **options)

    parameters = inspect.signature(sweep, eval_str=True).parameters
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter for name, parameter in parameters.items() if name not in ("spec", "quick", "max_cost")]
    )
    return command


def _run(spec: SweepSpec, *, resume: bool, results: Path, draw: bool, mlflow: bool, **others: Any) -> None:
    from sweeps.whole_sweep import SweepOptions

    options = SweepOptions(
        results=results, mlflow=mlflow, map=draw, address=others.pop("address"), slots=others.pop("slots")
    )
    conduct(_chosen(spec, results, others, resume=resume), options)


def _chosen(spec: SweepSpec, results: Path, changes: dict[str, Any], *, resume: bool) -> SweepSpec:
    """Return the specification to run, changed as asked; with `resume` it is the one that is there under its name."""
    import dataclasses

    from sweeps.spec.box import within

    if resume:
        spec = there(results / (changes.pop("name", None) or spec.name), results, "--continue: ")
    spec = within(spec, changes.pop("within") or ())
    return dataclasses.replace(spec, **{name: value for name, value in changes.items() if value is not None})


def there(folder: Path, results: Path, option: str = "") -> SweepSpec:
    """Return the specification of the sweep in a folder."""
    from grokcore.errors import ConfigError
    from sweeps.spec.sweep_spec import SweepSpec

    if not (folder / "spec.toml").exists():
        known = ", ".join(sorted(path.parent.name for path in results.glob("*/spec.toml"))) or "none"
        raise ConfigError([f"{option}there is no sweep {folder.name!r} in {results}. Sweeps there: {known}."])
    return SweepSpec.from_toml(folder / "spec.toml")


def conduct(spec: SweepSpec, options: Any) -> None:
    """Run the sweep with live progress, tell what came of it, and exit with 130 if it was interrupted."""
    from rich.console import Console

    from sweeps.finished_runs.stopped import stopping_report
    from sweeps.progress import watcher_for
    from sweeps.whole_sweep import run_sweep

    console = Console(highlight=False)
    space = ", ".join(spec.whole_space.dimensions)
    console.print(
        f"sweep {spec.name}: {spec.runs} runs over {space}, chosen by {spec.sampler}", markup=False, soft_wrap=True
    )
    console.print(f"rule: {spec.rule.sentence()}", markup=False)
    console.print(f"watch: {_watching(spec, options.results)}", markup=False, soft_wrap=True)
    try:
        with watcher_for(spec, console) as watcher:
            result = run_sweep(spec, options, watcher=watcher)
            line = watcher.line()
    except KeyboardInterrupt:
        result = None
    if result is None or not result.complete:
        console.print("\nStopped; finished runs are kept. The same command goes on:", markup=False)
        console.print(f"  {_command()}", markup=False, soft_wrap=True)
        sys.exit(130)
    console.print(line, markup=False, soft_wrap=True)
    console.print(
        f"{result.startup_seconds:.0f} s to start, {result.train_seconds:.0f} s of training on {result.slots} slots, "
        f"{result.overhead:.1%} of their time not training"
        if result.run_steps
        else "all runs were there; nothing was trained"
    )
    if said := stopping_report(result.runs, spec.rule.budget) if spec.stopping != "none" else "":
        console.print(said, markup=False, soft_wrap=True)
    if result.map_seconds:
        console.print(f"{result.map_seconds:.0f} s to draw the map")
    _where(result.path, options, console)


def _watching(spec: SweepSpec, results: Path) -> str:
    """Return the command that shows the sweep in a browser while it runs."""
    import shlex

    return shlex.join(["grokmap", "watch", spec.name, *([] if results == RESULTS else ["--results", str(results)])])


def _command() -> str:
    """Return the command line that the user typed, as they typed it."""
    import shlex

    program = Path(sys.argv[0])
    ours = program.stem in ("grokmap", "__main__", "-c")
    return shlex.join([*(["grokmap"] if ours else ["python", sys.argv[0]]), *sys.argv[1:]])


def _where(path: Path, options: Any, console: Any) -> None:
    import shlex

    from sweeps.whole_sweep import MAP, is_newer

    console.print(f"runs: {path / 'runs.parquet'}, {path / 'curves.parquet'}", markup=False, soft_wrap=True)
    if (path / "map.html").exists():
        how = "and .png, .svg, .pdf, .csv, .parquet, .nc"
        if not is_newer(path, MAP):
            how = f"of before; draw it of the runs there are now: {shlex.join(['grokmap', 'map', str(path)])}"
        console.print(f"map:  {path / 'map.html'} ({how})", soft_wrap=True, markup=False)
    if options.mlflow:
        from sweeps.cli.browsing import where_to_browse

        console.print(f"browse: {where_to_browse(path)}", markup=False, soft_wrap=True)


def track(
    sweep: Annotated[Path, typer.Argument(help="The sweep, by name or folder.")],
    results: Results = RESULTS,
) -> None:
    """Write to MLflow what it lacks of a sweep.

    The sweep's folder is the truth; runs that MLflow has are left alone. For example: grokmap track NAME
    """
    from grokcore.errors import DataError
    from sweeps.store.run_store import meant
    from sweeps.tracking.database import shown, tracking_uri
    from sweeps.tracking.mlflow_mirror import track as write

    sweep = meant(sweep, results)
    if not (sweep / "spec.toml").exists():
        raise DataError(f"{sweep} is not the folder of a sweep: it has no spec.toml.")
    written = write(sweep)
    typer.echo(f"{written} runs written to {shown(tracking_uri(sweep.parent))}")
