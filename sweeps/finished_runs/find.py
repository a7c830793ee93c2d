"""Finding one run among all sweeps of a results folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from grokcore.config.folders import use_folder
from grokcore.errors import DataError
from grokcore.records.regimes import RegimeRule
from grokcore.records.run_record import RunRecord
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.run_store import read_records, record_ids

_DIGITS = re.compile(r"[0-9a-f]{1,16}")


def find_record(run_id: str, results: Path) -> tuple[Path, RegimeRule | None, RunRecord]:
    """Return folder, rule and record of the run whose identity begins with `run_id`.

    Looks into every sweep under `results` and into single runs (``results/runs/ID/record.json``). Where several have
    the run, the one that goes furthest counts, and of such one that kept its weights; bits are the same in all of them.
    Raises `DataError` if there is none, or if several runs begin so.
    """
    sweeps = sorted(path.parent for path in results.glob("*/spec.toml"))
    if not _DIGITS.fullmatch(run_id):
        names = ", ".join(sweep.name for sweep in sweeps) or "none"
        raise DataError(
            f"{run_id!r} is not the identity of a run, which is up to 16 digits 0-9 a-f. Sweeps in {results}: {names}."
        )
    found = [(full, sweep) for sweep in sweeps for full in _begun(run_id, sweep)]
    found += [(path.parent.name, path.parent) for path in sorted(results.glob(f"runs/{run_id}*/record.json"))]
    full = _one(run_id, results, {full for full, _ in found})
    known = [(folder, *_record(folder, full)) for _, folder in found]
    return max(known, key=lambda each: (each[2].extent, (each[0] / "weights" / full).is_dir()))


def record_in(run_id: str, sweep: Path) -> RunRecord:
    """Return the run of one sweep whose identity begins so; raises `DataError` if there is none, or several."""
    return _record(sweep, _one(run_id, sweep, set(_begun(run_id, sweep))))[1]


def _begun(run_id: str, sweep: Path) -> Iterator[str]:
    """Yield the identities of a sweep's finished runs that begin so."""
    return (full for full in record_ids(sweep) if full.startswith(run_id))


def _one(run_id: str, where: Path, found: set[str]) -> str:
    if len(found) != 1:
        several = f"several runs begin so: {', '.join(sorted(found)[:8])}" if found else "there is none"
        raise DataError(f"run {run_id} in {where}: {several}. Their identities are in runs.parquet of each sweep.")
    return found.pop()


def _record(folder: Path, full: str) -> tuple[RegimeRule | None, RunRecord]:
    """Return the rule, if it is a sweep's, and the record of a run that a folder has."""
    single = folder / "record.json"
    if single.exists():
        if (folder / "components").is_dir():
            use_folder(folder / "components")
        return None, RunRecord.from_json(single.read_text(encoding="utf-8"))
    rule = SweepSpec.from_toml(folder / "spec.toml").rule
    return rule, next(record for record in read_records(folder) if record.run_id == full)
