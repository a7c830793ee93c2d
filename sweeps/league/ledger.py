"""Ledger: every run of a method in one small Parquet file; none is trained twice, and every number has a source."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from grokcore.atomic_files import replacing
from grokcore.errors import DataError
from grokcore.records.run_record import RunRecord
from grokcore.run_config import RunConfig
from grokcore.training import train
from sweeps.gallery.experiment import HEAD
from sweeps.league.plan import KEPT, THRESHOLD

COLUMNS = (
    "run_id", "problem", "fraction", "stage", "seed", "rate_factor", "step", "event", "t_mem", "t_mem_event",
    "last", "outcome", "steps", "seconds", "before", "settings",
)  # fmt: skip
"""Of every run: what it is, when it stayed above the threshold (or its last step), when it memorised, its last
validation accuracy, how it ended, how many steps it was trained, what share of core-seconds that took, what was spent
before it began, and its settings as JSON."""


@dataclass
class Ledger:
    """The runs of one method."""

    path: Path
    """Its file."""
    method: str
    """Whose runs they are."""
    plan: str
    """The name of the plan."""
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    """A row for each run, by identity."""
    processor: str = "unknown"
    """On what they were trained."""
    absent: dict[str, str] = field(default_factory=dict)
    """Problems that the method does not fit, with the reason."""

    @property
    def runs(self) -> pd.DataFrame:
        """Return all runs as a table."""
        return pd.DataFrame(list(self.rows.values()), columns=list(COLUMNS))

    def train(self, configs: Sequence[RunConfig], **notes: Any) -> list[dict[str, Any]]:
        """Return the rows of all runs, in order, and train those that are not there; `notes` are columns of theirs.

        What has ended is written even if the rest is interrupted. `notes["before"]` is seconds a run, by identity.
        """
        missing = [config for config in configs if config.run_id not in self.rows]
        before: dict[str, float] = notes.pop("before", {})
        factors: dict[str, float] = notes.pop("rate_factor", {})
        ended: list[RunRecord] = []
        begun = time.process_time()
        try:
            if missing:
                train(missing, retire=KEPT, progress=ended.append, measures="none")
        finally:
            seconds, steps = time.process_time() - begun, sum(record.steps for record in ended)
            for record in ended:
                own = {"seconds": seconds * record.steps / max(steps, 1), "before": before.get(record.run_id, 0.0)}
                own["rate_factor"] = factors.get(record.run_id, 1.0)
                self.rows[record.run_id] = row_of(record) | own | notes
                self.processor = str(record.environment.get("processor", "unknown"))
            if ended:
                self.save()
        return [self.rows[config.run_id] for config in configs]

    def save(self) -> None:
        """Write all runs, whole or not at all."""
        head = {"method": self.method, "plan": self.plan, "processor": self.processor, "absent": self.absent}
        table = pa.Table.from_pandas(self.runs, preserve_index=False)
        table = table.replace_schema_metadata({HEAD: json.dumps(head, sort_keys=True).encode()})
        with replacing(self.path) as temporary:
            parquet.write_table(table, temporary, compression="zstd")

    @classmethod
    def open(cls, path: Path, method: str, plan: str) -> Ledger:
        """Return what is kept; an empty one where there is no such file, or one of another plan.

        Raises `DataError` for a file that holds something else.
        """
        if not path.exists():
            return cls(path, method, plan)
        there = cls.load(path)
        if there.plan != plan:
            raise DataError(f"{path}: is of the {there.plan} league, and this is the {plan} one; give another --out.")
        return there

    @classmethod
    def load(cls, path: Path) -> Ledger:
        """Read a file; raises `DataError` in a sentence for one that is none."""
        try:
            table = parquet.read_table(path)
            head = json.loads((table.schema.metadata or {})[HEAD])
            rows = table.to_pandas()[list(COLUMNS)].to_dict("records")
            return cls(
                path,
                str(head["method"]),
                str(head["plan"]),
                {str(row["run_id"]): {str(name): value for name, value in row.items()} for row in rows},
                str(head["processor"]),
                dict(head["absent"]),
            )
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: holds no runs of a league ({error}); remove it, to train them again.") from None


def row_of(record: RunRecord) -> dict[str, Any]:
    """Return what is kept of a run; see `COLUMNS`."""
    step, event = stays(record.columns["step"], record.columns["val_accuracy"])
    mem = record.milestone("train", THRESHOLD)
    return {
        "run_id": record.run_id,
        "seed": record.config.seed,
        "step": step,
        "event": event and str(record.outcome) != "diverged",
        "t_mem": mem.step,
        "t_mem_event": mem.event,
        "last": float(np.nan_to_num(record.final.get("val_accuracy", 0.0))),
        "outcome": str(record.outcome),
        "steps": record.steps,
        "settings": json.dumps(record.config.to_flat(), sort_keys=True),
    }


def stays(steps: npt.ArrayLike, accuracies: npt.ArrayLike, threshold: float = THRESHOLD) -> tuple[int, bool]:
    """Return the first evaluated step from which on the accuracy stays at or above the threshold, and that it does.

    Where it does not, the last step and False.
    """
    at = np.asarray(steps, dtype=np.int64)
    below = np.flatnonzero(~(np.asarray(accuracies, dtype=float) >= threshold))
    place = int(below[-1]) + 1 if len(below) else 0
    if place < len(at):
        return int(at[place]), True
    return (int(at[-1]) if len(at) else 0), False
