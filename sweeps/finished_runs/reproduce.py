"""Reproducing runs: train finished ones again, alone, and compare with what is written down, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grokcore.errors import DataError
from grokcore.records.run_record import Outcome, RunRecord
from grokcore.training import train_again
from sweeps.finished_runs.find import find_record
from sweeps.store.run_store import meant, read_records

CURVES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
"""What is compared at every step that was evaluated."""


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A run beside itself, trained again."""

    was: RunRecord
    """What is written down."""
    now: RunRecord
    """What came of it this time."""

    @property
    def apart(self) -> tuple[int, str] | None:
        """Return the first step at which the two differ in a bit, and the curve that does; None if none does."""
        steps = self.was.columns["step"]
        length = min(len(steps), len(self.now.columns["step"]))
        found = []
        for name in ("step", *CURVES):
            was, now = self.was.columns[name][:length], self.now.columns[name][:length]
            different = np.flatnonzero(~((was == now) | (np.isnan(was) & np.isnan(now))))
            found += [(int(steps[different[0]]), name)] if len(different) else []
        if not found and length < len(steps):
            found = [(int(steps[length]), "step")]
        return min(found, key=lambda place: place[0], default=None)

    @property
    def environment(self) -> dict[str, tuple[str, str]]:
        """Return what is not as it was where the two first differ, or at the end: name to then and now."""
        was, now = self.was.environment_at(None if self.apart is None else self.apart[0]), self.now.environment
        return {name: (str(was[name]), str(now[name])) for name in was if name in now and was[name] != now[name]}

    @property
    def sentence(self) -> str:
        """Return what came of it, in words."""
        if self.apart is None:
            return f"the same bits at all {len(self.was.columns['step'])} evaluations"
        step, curve = self.apart
        return f"differs from step {step:,} on ({curve}); {self._regimes()}"

    def _regimes(self) -> str:
        if self.was.regime == self.now.regime:
            return f"the regime is {self.was.regime} both times"
        return f"the regime was {self.was.regime} and is {self.now.regime}"


def reproduce(
    target: str, results: Path, sample: int, progress: Callable[[RunRecord, int], None] | None = None
) -> Iterator[Reproduction]:
    """Train a run again, by its identity, or `sample` runs of a sweep, spread over the order in which they finished.

    Yields each as it is done; `progress` is called with the run and its step. Raises `DataError` if there is nothing
    to reproduce.
    """
    for record in _chosen(target, results, sample):
        told = None if progress is None else (lambda step, record=record: progress(record, step))
        yield Reproduction(was=record, now=train_again(record, progress=told))


def _chosen(target: str, results: Path, sample: int) -> list[RunRecord]:
    sweep = meant(Path(target), results)
    whole = (sweep / "spec.toml").exists()
    records = list(read_records(sweep)) if whole else [find_record(target, results)[2]]
    able = [record for record in records if record.outcome is not Outcome.FAILED and len(record.columns["step"])]
    if not able:
        raise DataError(f"{target}: no run of it has curves to compare with; {len(records)} ended.")
    places = np.unique(np.linspace(0, len(able) - 1, min(sample, len(able))).round().astype(int))
    return [able[place] for place in places]
