"""Forecasts on the command line: of a run, of anyone's curves, and a forecaster saved for the next sweep."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeps.cli.maps import pairs
from sweeps.cli.options import RESULTS, Columns, Results

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from analysis.forecast.forecaster import Forecaster, KnownRun
    from grokcore.records.run_record import RunRecord
    from sweeps.spec.sweep_spec import SweepSpec


def forecast(
    target: Annotated[str, typer.Argument(help="Identity of a run, a table of curves, or with --save a sweep.")],
    budget: Annotated[int | None, typer.Option(min=1, help="Steps that a run of a table may take.")] = None,
    forecaster: Annotated[Path | None, typer.Option(help="A saved forecaster; the package's own if not given.")] = None,
    column: Columns = None,
    save: Annotated[Path | None, typer.Option(help="Learn from a sweep too, and save the forecaster here.")] = None,
    results: Results = RESULTS,
) -> None:
    """Say how likely a run is to generalise within its budget, at each step at which that is asked.

    A table of curves has step, train_accuracy and val_accuracy, and what there is of run_id, train_loss, val_loss,
    weight_norm, rate and decay. For example: grokmap forecast curves.csv --budget 20000
    """
    from analysis.forecast.forecaster import Forecaster
    from grokcore.errors import DataError

    known = Forecaster.load() if forecaster is None else Forecaster.load(forecaster)
    if save is not None:
        _save(target, results, known, save)
        return
    path = Path(target)
    columns = pairs("--column", column or [], "a name and the column it stands for, as val_accuracy=test/acc")
    runs = _of_table(path, budget, columns) if path.is_file() else _of_run(target, results)
    for name, run in runs:
        if said := known.misfit(run.family):
            raise DataError(f"run {name}: {said}")
        typer.echo(f"run {name}, budget {run.budget:,} steps")
        for line in _lines(known, run):
            typer.echo(f"  {line}")


def _lines(forecaster: Forecaster, run: KnownRun) -> Iterator[str]:
    """Yield what was to be said at each landmark, and in the end what became of it."""
    import numpy as np

    from analysis.forecast.hazard_rule import HazardRule
    from analysis.forecast.landmarks import landmarks
    from grokcore.records.milestones import first_passage

    accuracy = np.asarray(run.curves["val_accuracy"], dtype=float)
    steps = np.asarray(run.curves["step"])[np.isfinite(accuracy)]
    if not len(steps):
        yield "nothing can be said: it has no validation accuracy"
        return
    generalised = first_passage(steps, accuracy[np.isfinite(accuracy)], forecaster.threshold)
    last = generalised.step - 1 if generalised.event else int(steps[-1])
    asked = [step for step in landmarks(run.budget) if steps[0] <= step <= last]
    for step in asked:
        until, chances = forecaster.chances(run, step)
        soon = int(np.argmax(until >= min(3 * step, run.budget)))
        near = f"{chances[soon]:.1%} by step {until[soon]:,.0f}, " if until[soon] < run.budget else ""
        yield f"at step {step:,}: {near}{chances[-1]:.1%} by step {run.budget:,}"
    if not asked:
        early = "nothing can be said before step 40"
        yield early if last < 40 else "nothing can be said: no landmark lies between its first evaluation and its last"
    if generalised.event:
        yield f"generalised at step {generalised.step:,}"
    elif (verdict := HazardRule(forecaster).first(run)) is not None:
        yield f"need not go on: {verdict.sentence}"


def _of_run(run_id: str, results: Path) -> Iterator[tuple[str, KnownRun]]:
    from grokcore.errors import DataError
    from sweeps.finished_runs.find import find_record
    from sweeps.stopping._known_runs import finished_run
    from sweeps.stopping.base import NOTHING
    from sweeps.store.run_store import read_expected

    folder, rule, record = find_record(run_id, results)
    if not len(record.columns["step"]):
        raise DataError(f"run {record.run_id} has no curves: it {record.outcome.sentence}.")
    expected = NOTHING if rule is None else read_expected(folder).get(record.run_id, NOTHING)
    yield record.run_id, finished_run(record, record.config.steps if rule is None else rule.budget, 0.9, expected)


def _expected(spec: SweepSpec, records: Sequence[RunRecord]) -> Sequence[float]:
    """Return what the map of the runs that were over before expected of each run, in the order in which they ended."""
    import pandas as pd

    from sweeps.expectations import expected_in_order
    from sweeps.search_map import axes_of

    axes = axes_of(spec.whole_space.distributions)
    frame = pd.DataFrame([record.row(spec.rule) for record in records])
    if not len(frame) or not set(axes.values()) - {"categorical"}:
        return [math.nan] * len(frame)
    return [float(chance) for chance in expected_in_order(frame, axes, spec.rule)]


def _of_table(path: Path, budget: int | None, columns: Mapping[str, str]) -> Iterator[tuple[str, KnownRun]]:
    from analysis.forecast.forecaster import KnownRun
    from analysis.forecast.landmarks import CURVES, SETTINGS
    from analysis.importing.curve_tables import checked_curves
    from analysis.runs.cells import as_numbers
    from analysis.runs.columns import tidied
    from analysis.runs.table_files import read_table
    from grokcore.errors import ConfigError, DataError

    if budget is None:
        raise ConfigError([f"{path}: say how many optimizer steps a run may take, as --budget 20000."])
    frame, notes = read_table(path)
    curves, said = checked_curves(tidied(frame, columns).frame, one=path.stem)
    for note in (*notes, *said):
        typer.echo(f"{path.name}: {note}")
    for name, run in curves.sort_values("step").groupby("run_id", sort=False):
        if run["step"].duplicated().any():
            raise DataError(f"{path}: run {name} has a step twice; give a column run_id where there are several runs.")
        known = {key: as_numbers(run[key]) for key in (*CURVES, *SETTINGS) if key in run.columns}
        columns_of: dict[str, Any] = {"step": run["step"].to_numpy()}
        columns_of |= {key: known[key] for key in CURVES if key in known}
        settings: dict[str, Any] = {key: float(known[key][0]) for key in SETTINGS if key in known}
        yield str(name), KnownRun(curves=columns_of, settings=settings, budget=budget)


def _save(target: str, results: Path, known: Forecaster, save: Path) -> None:
    from analysis.forecast.forecaster import Forecaster
    from grokcore.errors import DataError
    from grokcore.output_paths import check_outputs
    from grokcore.records.run_record import Outcome
    from sweeps.spec.sweep_spec import SweepSpec
    from sweeps.stopping._known_runs import finished_run
    from sweeps.stopping.base import Expected
    from sweeps.store.run_store import meant, read_records

    folder = meant(Path(target), results)
    if not (folder / "spec.toml").exists():
        raise DataError(f"{target}: there is no sweep of that name in {results} to learn from.")
    check_outputs([save], [folder / "spec.toml", folder / "records.jsonl"])
    spec = SweepSpec.from_toml(folder / "spec.toml")
    rule = spec.rule
    records = [record for record in read_records(folder) if record.outcome is not Outcome.FAILED]
    expected = _expected(spec, records)
    own = Forecaster.of_runs(
        (finished_run(r, rule.budget, rule.threshold, Expected(e)) for r, e in zip(records, expected, strict=True)),
        rule.threshold,
    )
    own.joined(known).save(save)
    typer.echo(f"learned from {len(records)} runs of {folder.name}: {save}")
