"""Finding one run among all sweeps of a results folder."""

from __future__ import annotations

import re
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

    Looks into every sweep under `results` and into single runs (``results/runs/ID/record.json``). Raises `DataError`
    if there is none, or if several runs begin so.
    """
    if not _DIGITS.fullmatch(run_id):
        sweeps = ", ".join(sorted(path.parent.name for path in results.glob("*/spec.toml"))) or "none"
        raise DataError(
            f"{run_id!r} is not the identity of a run, which is up to 16 digits 0-9 a-f. Sweeps in {results}: {sweeps}."
        )
    found: dict[str, Path] = {}
    for folder in sorted(path.parent for path in results.glob("*/spec.toml")):
        for full in record_ids(folder):
            if full.startswith(run_id):
                found.setdefault(full, folder)
    for path in sorted(results.glob(f"runs/{run_id}*/record.json")):
        found.setdefault(path.parent.name, path.parent)
    if len(found) != 1:
        several = f"several runs begin so: {', '.join(sorted(found)[:8])}" if found else "there is none"
        raise DataError(f"run {run_id} in {results}: {several}. Their identities are in runs.parquet of each sweep.")
    ((full, folder),) = found.items()
    single = folder / "record.json"
    if single.exists():
        if (folder / "components").is_dir():
            use_folder(folder / "components")
        return folder, None, RunRecord.from_json(single.read_text(encoding="utf-8"))
    rule = SweepSpec.from_toml(folder / "spec.toml").rule
    record = next(record for record in read_records(folder) if record.run_id == full)
    return folder, rule, record
