"""The command that shows a sweep in a browser while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweeps.cli.options import RESULTS, Results

PORT = 5050
"""Port of the page where none is named."""
NICE = 10
"""By how much a watching process stands back for the runs."""


def watch(
    sweep: Annotated[Path, typer.Argument(help="The sweep, by name or folder; it may not have begun yet.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of this machine; 0 for any that is free.")] = PORT,
    results: Results = RESULTS,
) -> None:
    """Show a sweep and its map in a browser while it runs.

    The page follows by itself: regimes, bands, runs, steps left, what the sampler does next. It is served on this
    machine alone, at an address with a token, until Ctrl-C. For example: grokmap watch NAME
    """
    import os
    import secrets

    from sweeps.store.run_store import meant
    from sweeps.tracking.browsing import check_port
    from sweeps.watching.server import LOOPBACK, Watched, listen, serve

    folder = meant(sweep, results)
    if not folder.exists() and folder.name == str(sweep):
        folder = results / sweep
    if port:
        check_port(port)
    place = listen(port)
    if not (folder / "spec.toml").exists():
        known = ", ".join(sorted(path.parent.name for path in results.glob("*/spec.toml"))) or "none"
        typer.echo(f"there is no sweep in {folder} yet, its page waits for it. Sweeps in {results}: {known}", err=True)
    token = secrets.token_urlsafe(16)
    typer.echo(f"http://{LOOPBACK}:{place.getsockname()[1]}/?token={token}")
    typer.echo("Ctrl-C ends it", err=True)
    os.nice(NICE)
    try:
        serve(Watched(folder), token, place)
    except KeyboardInterrupt:
        typer.echo("", err=True)
