"""Importing others' runs: from curves to a table of runs that a map, a comparison and the laws can be made of."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from sweeps.cli.maps import pairs
from sweeps.cli.options import Columns


def import_(
    source: Annotated[
        str,
        typer.Argument(
            help="A long table of curves, a folder with a file of curves a run (as Hydra's multirun), offline runs or "
            "the CSV of a chart of Weights & Biases, or a table of Optuna's trials."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Table of runs to write, .parquet or .csv.")] = Path("runs.parquet"),
    column: Columns = None,
    settings: Annotated[Path | None, typer.Option(help="Table of the runs' settings, by run_id.")] = None,
    mlflow: Annotated[
        str | None, typer.Option(help="Tracking URI of MLflow, as sqlite:///mlflow.db; SOURCE is then an experiment.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a table that is there.")] = False,
) -> None:
    """Make a table of runs from curves that others recorded.

    Milestones are found at every threshold, as in runs of our own. For example: grokmap import multirun/ --out runs.csv
    """
    from analysis.importing.folders import import_curves
    from analysis.runs.guessed_axes import may_have_axes
    from grokcore.atomic_files import replacing
    from grokcore.errors import ConfigError
    from grokcore.output_paths import check_outputs
    from sweeps.store.addresses import address_of, instead_of

    if out.suffix.lower() not in (".parquet", ".csv"):
        raise ConfigError([f"--out {out}: give a table to write, as runs.parquet or runs.csv."])
    if mlflow is None and (address := address_of(source)) is not None:
        raise ConfigError([instead_of(address)])
    check_outputs([out], [Path(path) for path in (source, settings) if path is not None])
    if out.exists() and not force:
        raise ConfigError([f"{out} is there already: give --force to write over it, or --out another name."])
    columns = pairs("--column", column or [], "a name and the column it stands for, as val_accuracy=test/acc")
    if mlflow is None:
        found = import_curves(Path(source), columns, settings)
    else:
        from analysis.importing.mlflow_experiment import import_experiment

        found = import_experiment(source, mlflow, columns)
    for note in found.notes:
        typer.echo(f"{Path(source).name}: {note}")
    with replacing(out) as temporary:
        if out.suffix.lower() == ".csv":
            found.frame.to_csv(temporary, index=False)
        else:
            found.frame.to_parquet(temporary, index=False)
    count = f"{len(found.frame)} run{'s' if len(found.frame) > 1 else ''}"
    if may_have_axes(found.frame):
        typer.echo(f"{count} written to {out}; their map: grokmap map {shlex.quote(str(out))} --out maps")
        return
    typer.echo(
        f"{count} written to {out}. For a map a setting must vary, and none in this table does: give a table of the "
        "runs' settings by run_id, as --settings settings.csv."
    )
