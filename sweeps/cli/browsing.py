"""Browsing runs in MLflow: the command that serves it, and the address that lands on a sweep's runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sweeps.cli.options import RESULTS, Results

LISTED = 12
"""Sweeps whose addresses are printed when none is named."""


def ui(
    sweep: Annotated[
        Path | None, typer.Argument(help="The sweep, by name or folder; the newest ones if not given.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of this machine to serve at.")] = 5000,
    results: Results = RESULTS,
) -> None:
    """Browse the runs of a sweep in MLflow.

    Serves it on this machine alone, prints the address that lands on the runs, and stays until Ctrl-C; of a server that
    MLFLOW_TRACKING_URI names it only prints the address. For example: grokmap ui NAME
    """
    from grokcore.errors import DataError, unknown_name
    from sweeps.spec.sweep_spec import SweepSpec
    from sweeps.store.run_store import meant
    from sweeps.tracking.browsing import check_port, experiments, runs_page, serve
    from sweeps.tracking.database import shown, tracking_uri

    folder = None if sweep is None else meant(sweep, results)
    uri = tracking_uri(results if folder is None or not folder.is_dir() else folder.resolve().parent)
    known = experiments(uri)
    if not known:
        raise DataError(f"MLflow at {shown(uri)} has no sweep yet; `grokmap track NAME` writes one.")
    if folder is not None:
        spec = folder / "spec.toml"
        name = SweepSpec.from_toml(spec).name if spec.is_file() else folder.name
        if name not in known:
            raise DataError(f"{unknown_name('sweep', name, tuple(known))} `grokmap track {name}` writes it to MLflow.")
        known = {name: known[name]}

    def told(server: str) -> None:
        for name, experiment in list(known.items())[:LISTED]:
            typer.echo(f"{name}: {runs_page(server, experiment)}")

    if uri.startswith(("http://", "https://")):
        told(shown(uri))
        return
    check_port(port)
    typer.echo(f"starting MLflow for {shown(uri)} …", err=True)

    def ready(server: str) -> None:
        told(server)
        typer.echo("Ctrl-C ends it", err=True)
        sys.stdout.flush()

    sys.exit(serve(uri, port, ready))


def where_to_browse(path: Path) -> str:
    """Return how to see in MLflow the runs of the sweep in a folder: a command, or the address on a server."""
    from sweeps.tracking.browsing import Shown

    found = Shown.of(path)
    if not found.command:
        return f"{found.page} (of a cluster's head: grokmap cluster ui)"
    return f"{found.command}, at {found.page}"
