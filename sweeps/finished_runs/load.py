"""load: a sweep that ran, or still runs, as one object: its runs, curves, map and single runs."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grokcore.errors import DataError
from grokcore.inspection.inspection import Inspection, inspection
from grokcore.notebook_tables import table_html
from grokcore.records.regimes import REGIMES, RegimeRule
from grokcore.records.run_record import RunRecord
from sweeps.finished_runs.find import record_in
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.early_end import runs_wanted
from sweeps.store.run_store import meant, read_records, record_ids

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from analysis.maps.regime_map import RegimeMap
    from analysis.pages.html import Page


def load(name: str | Path, results: str | Path = "results") -> SweepFolder:
    """Return the sweep of a name under `results`, or in a folder; raises `DataError` where there is none.

    `sweep = load("default")`, and then `sweep.runs`, `sweep.curves`, `sweep.map()`, `sweep.page()`, `sweep.study`,
    `sweep.run(id)`, `sweep.inspect(id)`, `sweep.extend(runs=512)`.
    """
    folder = meant(Path(name), Path(results))
    if not (folder / "spec.toml").is_file():
        there = ", ".join(sorted(path.parent.name for path in Path(results).glob("*/spec.toml"))) or "none"
        raise DataError(
            f"there is no sweep {str(name)!r} in {results} (no {folder / 'spec.toml'}). Sweeps there: {there}."
        )
    return SweepFolder(folder)


class SweepFolder:
    """What a sweep left in its folder. Everything is read when asked for, so that a sweep may still be running."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = SweepSpec.from_toml(folder / "spec.toml")

    @property
    def rule(self) -> RegimeRule:
        """Return the rule that says what memorised and what grokked."""
        return self.spec.rule

    @property
    def records(self) -> dict[str, RunRecord]:
        """Return every finished run by its identity, in the order in which they ended."""
        return {record.run_id: record for record in read_records(self.folder)}

    @property
    def runs(self) -> pd.DataFrame:
        """Return one row a finished run, as ``runs.parquet`` has them."""
        import pandas as pd

        return pd.DataFrame([record.row(self.rule) for record in self.records.values()])

    @property
    def curves(self) -> pd.DataFrame:
        """Return all curves in one long table: run_id, step, losses, accuracies, measures."""
        import pandas as pd

        tables = [record.curves.assign(run_id=run_id) for run_id, record in self.records.items()]
        together = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["run_id", "step"])
        return together[["run_id", *together.columns.drop("run_id")]]

    @property
    def study(self) -> optuna.Study:
        """Return the Optuna study: every run chosen, with log10 of its t_gen where it has finished."""
        from sweeps.finished_runs.read_study import read_study

        return read_study(self.folder, self.spec)

    def map(self, rule: RegimeRule | None = None, axes: Mapping[str, str] | None = None) -> RegimeMap:
        """Return the regime map of the runs so far, under the sweep's own rule or another."""
        from analysis.maps.of_source import map_of
        from analysis.runs.sources import read_source

        return map_of(read_source(self.folder, axes=axes, curves=False), rule or self.rule)

    def page(self, rule: RegimeRule | None = None, axes: Mapping[str, str] | None = None) -> Page:
        """Return the interactive page of the runs so far, with their curves; a notebook shows it."""
        from analysis.exports.views import page
        from analysis.maps.of_source import map_of
        from analysis.runs.sources import read_source
        from sweeps.tracking.browsing import with_tracker

        source = with_tracker(read_source(self.folder, axes=axes), self.folder)
        return page(map_of(source, rule or self.rule), source)

    def extend(self, runs: int, **options: Any) -> SweepFolder:
        """Train on until the sweep has this many runs in all, and return it; `options` are those of `SweepOptions`.

        The runs that it has are kept, and the sampler goes on where it was.
        """
        from sweeps.whole_sweep import SweepOptions, run_sweep

        spec = dataclasses.replace(self.spec, runs=runs)
        run_sweep(spec, SweepOptions(results=self.folder.resolve().parent, **options))
        return SweepFolder(self.folder)

    def run(self, run_id: str) -> RunRecord:
        """Return the run whose identity begins so; raises `DataError` if there is none, or several."""
        return record_in(run_id, self.folder)

    def inspect(self, run_id: str) -> Inspection:
        """Return what the run looked like inside; raises `CheckpointError` if its weights were not kept."""
        return inspection(self.folder, self.run(run_id), self.rule.threshold)

    def __repr__(self) -> str:
        finished = len(set(record_ids(self.folder)))
        return f"<sweep {self.spec.name!r}: {finished} of {runs_wanted(self.folder, self.spec)} runs in {self.folder}>"

    def _repr_html_(self) -> str:
        counts = Counter(str(record.regime_under(self.rule)) for record in self.records.values())
        found = ", ".join(f"{name} {counts[name]}" for name in REGIMES if counts[name]) or "none finished yet"
        finished = f"{counts.total()} of {runs_wanted(self.folder, self.spec)}"
        over = ", ".join(self.spec.whole_space.dimensions)
        rows = [("runs", finished), ("regimes", found), ("over", over), ("rule", self.rule.sentence())]
        return table_html(f"sweep {self.spec.name}", [*rows, ("folder", self.folder)])
