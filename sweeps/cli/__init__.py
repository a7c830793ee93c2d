"""The command line: thin commands over the packages. Heavy imports happen inside the commands, so --help is quick."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from sweeps.cli import (
    browsing,
    forecasting,
    growing,
    importing,
    listing,
    maps,
    publishing,
    recipes,
    reproducing,
    runs,
    sweep,
    watching,
)
from sweeps.league.command import league

if TYPE_CHECKING:
    from sweeps.spec.sweep_spec import SweepSpec

app = typer.Typer(
    name="grokmap",
    help="Maps of where small networks memorise, grok or understand at once.",
    epilog="First: grokmap run (one network), grokmap sweep SPEC.toml (many), grokmap map NAME (their map).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    runs.run,
    sweep.sweep,
    growing.extend,
    growing.merge,
    runs.show,
    runs.measure,
    reproducing.reproduce,
    league,
    forecasting.forecast,
    sweep.track,
    watching.watch,
    browsing.ui,
    maps.map_,
    maps.compare,
    publishing.cite,
    publishing.archive,
    importing.import_,
    listing.list_,
):
    app.command(command.__name__.rstrip("_"))(command)
app.add_typer(recipes.app, name="recipes")


def main(spec: SweepSpec | None = None) -> None:
    """Run the command line; with a `spec` (from sweep.py) the options are those of ``grokmap sweep`` on it.

    Errors that are the user's to mend are printed as they are, without a traceback, with exit code 2.
    """
    try:
        if spec is None:
            _mount()
            app()
        else:
            single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
            single.command(help=f"Run the sweep {spec.name!r} of this file.")(sweep.of_script(spec))
            single()
    except Exception as error:
        # Imported only now: --help has no error to name.
        from grokcore.errors import GrokmapError
        from grokcore.output_paths import sentence

        if isinstance(error, OSError) and error.filename is not None:
            typer.secho(sentence(error), fg="red", err=True)
        elif isinstance(error, GrokmapError):
            typer.secho(str(error), fg="red", err=True)
        else:
            raise
        sys.exit(2)


def _mount() -> None:
    """Add the commands that other packages name in their metadata, under `grokmap.commands`."""
    from importlib.metadata import entry_points

    for entry in entry_points(group="grokmap.commands"):
        command = entry.load()
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=entry.name)
        else:
            app.command(entry.name)(command)
