"""Looking inside finished runs: measures taken of weight snapshots, and the page of one run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from analysis.pages.run_page import write_run_page
from grokcore.atomic_files import replacing
from grokcore.errors import CheckpointError, DataError
from grokcore.inspection.inspection import inspection, measured, measured_path
from grokcore.inspection.snapshot_measures import not_measured
from grokcore.measures.base import MeasureChoice, chosen_measures
from grokcore.output_paths import check_outputs
from grokcore.records.run_record import RunRecord
from grokcore.records.weight_snapshots import SnapshotFolder, snapshot_steps
from grokcore.training import train_again
from sweeps.finished_runs.find import find_record
from sweeps.store.run_store import meant, read_records
from sweeps.tracking.mlflow_mirror import offer

Say = Callable[[str], None]
"""Takes a line of news."""


def measure(target: str, results: Path, choice: MeasureChoice, say: Say) -> list[Path]:
    """Measure the weight snapshots of a run, by its identity, or of every run of a sweep, by its folder or name.

    Writes ``measures/RUN_ID.parquet`` to the sweep's folder, and for a whole sweep also ``measures.parquet``, all of
    them in one long table. Raises `DataError` or `CheckpointError` with what to do.
    """
    chosen_measures(choice)
    say = _once(say)
    sweep = meant(Path(target), results)
    if not (sweep / "spec.toml").exists():
        folder, _, record = find_record(target, results)
        return [_measure_run(folder, record, choice, say)]
    paths = [
        _measure_run(sweep, record, choice, say)
        for record in read_records(sweep)
        if (sweep / "weights" / record.run_id).is_dir()
    ]
    if not paths:
        raise CheckpointError(
            f"{sweep} has no weights; run a sweep with keep_weights = true (grokmap sweep --keep-weights)."
        )
    tables = [pd.read_parquet(path).assign(run_id=path.stem) for path in paths]
    together = pd.concat(tables, ignore_index=True)
    whole = sweep / "measures.parquet"
    _write(together[["run_id", *together.columns.drop("run_id")]], whole)
    return [*paths, whole]


def _once(say: Say) -> Say:
    """Return a `say` that says everything once."""
    said: set[str] = set()

    def once(text: str) -> None:
        if text not in said:
            said.add(text)
            say(text)

    return once


def _measure_run(folder: Path, record: RunRecord, choice: MeasureChoice, say: Say) -> Path:
    for name, reason in not_measured(record.config, choice).items():
        say(f"{name} is not measured: {reason}")
    path = measured_path(folder, record.run_id)
    check_outputs([path])
    table = measured(folder, record, choice, anew=True)
    _write(table, path)
    say(f"run {record.run_id}: {len(table.columns) - 1} measures at {len(table)} steps")
    return path


def _write(table: pd.DataFrame, path: Path) -> None:
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)


def show(run_id: str, results: Path, out: Path | None, *, again: bool, style: str, say: Say) -> dict[str, Path]:
    """Write the page of one run; with `again`, train it once more first if its weights were not kept.

    A run without weights gets a page of its curves alone, which says so.
    """
    folder, rule, record = find_record(run_id, results)
    if not len(record.columns["step"]):
        raise DataError(f"run {record.run_id} has no curves: it {record.outcome.sentence}: {record.reason}")
    pages = out or folder / "figures"
    read = [folder / name for name in ("spec.toml", "records.jsonl", "record.json")]
    check_outputs([pages / f"{record.run_id}.{suffix}" for suffix in ("html", "png", "svg", "pdf")], read)
    notes, picture = [], None
    try:
        snapshot_steps(folder, record.run_id)
    except CheckpointError as error:
        if again:
            say(f"training run {record.run_id} again, {record.steps:,} steps")
            train_again(record, SnapshotFolder(folder))
        else:
            notes = [f"Only the curves are shown: {error}"]
    if not notes:
        picture = inspection(folder, record, rule.threshold if rule else 0.9)
    paths = write_run_page(
        record,
        picture,
        pages,
        rule,
        skipped=not_measured(record.config, "circuit"),
        notes=notes,
        style=style,
    )
    if (folder / "spec.toml").exists():
        offer(folder, record.run_id, [paths["html"], paths["png"]], "inside", say)
    for note in notes:
        say(note)
    return paths
