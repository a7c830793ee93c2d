"""Commands for publishing: the methods of a sweep with their sources, and the sweep in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweeps.cli.options import RESULTS, Results


def cite(
    sweep: Annotated[Path, typer.Argument(help="The sweep, by name or folder.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write methods.txt, methods.tex and references.bib to.")
    ] = None,
    results: Results = RESULTS,
) -> None:
    """Say what a sweep did as a paragraph of methods, with versions, and the BibTeX of its sources.

    For example: grokmap cite NAME, or grokmap cite NAME --out paper
    """
    from grokcore.atomic_files import write_text
    from grokcore.output_paths import check_outputs
    from sweeps.finished_runs.load import load
    from sweeps.publishing.methods import methods

    made = methods(load(sweep, results))
    if out is None:
        typer.echo(f"{made.text()}\n\n{made.bibtex()}", nl=False)
        return
    texts = {"methods.txt": made.text() + "\n", "methods.tex": made.latex() + "\n", "references.bib": made.bibtex()}
    check_outputs([out / name for name in texts])
    for name, text in texts.items():
        typer.echo(write_text(out / name, text))


def archive(
    sweep: Annotated[Path, typer.Argument(help="The sweep, by name or folder.")],
    out: Annotated[Path | None, typer.Option(help="The file to write; NAME.zip if not given.")] = None,
    weights: Annotated[bool, typer.Option("--weights", help="Keep weight snapshots in it too.")] = False,
    results: Results = RESULTS,
) -> None:
    """Write a sweep to one file for a data repository: runs, curves, map, environment, and how to open it again.

    For example: grokmap archive NAME --out NAME.zip
    """
    from sweeps.finished_runs.load import load
    from sweeps.publishing.archive import archive as write

    found = load(sweep, results)
    path = write(
        found, out or Path(f"{found.spec.name}.zip"), weights=weights, say=lambda text: typer.echo(text, err=True)
    )
    typer.echo(f"{path} ({path.stat().st_size / 2**20:.1f} MiB)")
