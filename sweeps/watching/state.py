"""SweepState: how a sweep stands, read from its folder while another process writes to it, or before there is one."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.figures.base import REGIME_COLOURS
from grokcore.config.folders import use_folder
from grokcore.config.reference import describe
from grokcore.records.regimes import RegimeRule
from grokcore.records.run_record import Outcome, RunRecord
from sweeps.samplers.base import SAMPLERS
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store import lines
from sweeps.store.early_end import runs_wanted
from sweeps.watching.in_flight import InFlight

Array = npt.NDArray[np.float64]
CURVES = 48
"""Runs whose curves are shown: those that finished last, and as many of those being trained."""
POINTS = 40
"""Points of a curve that is shown."""
WITHOUT = {Outcome.STOPPED: "stopped early", Outcome.FAILED: "failed"}
"""What is said of runs that have no regime."""
LOCKS = Path("/proc/locks")
"""Where Linux says who holds which lock; asking by taking the lock would keep a sweep from starting."""


class SweepState:
    """A sweep as it stands. What was read once is not read again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec: SweepSpec | None = None
        self._forget()

    def _forget(self) -> None:
        self._offset = 0
        self._finished: dict[str, int] = {}
        self._regimes: Counter[str] = Counter()
        self._curves: list[dict[str, Any]] = []
        self._training = InFlight(self.folder)

    @property
    def finished(self) -> int:
        """Return how many runs are finished."""
        return len(self._finished)

    @property
    def wanted(self) -> int:
        """Return how many runs there will be: those of the specification, or fewer where the sweep ended early."""
        return 0 if self.spec is None else runs_wanted(self.folder, self.spec)

    @property
    def complete(self) -> bool:
        """Say whether all runs are finished."""
        return self.spec is not None and self.finished >= self.wanted

    def look(self) -> None:
        """Read what is new in the folder. Raises what reading a damaged sweep raises."""
        path = self.folder / "spec.toml"
        if not path.exists():
            self.spec = None
            self._forget()
            return
        if (self.folder / "components").is_dir():
            use_folder(self.folder / "components")
        self.spec = SweepSpec.from_toml(path)
        records = self.folder / "records.jsonl"
        if records.exists() and records.stat().st_size < self._offset:
            # Another sweep has taken the place of the one that was there.
            self._forget()
        for line in lines.read(records, self._offset):
            self._offset += len(line)
            self._add(RunRecord.from_json(line))

    def _add(self, record: RunRecord) -> None:
        spec = self.spec
        if spec is None or record.run_id in self._finished:
            return
        self._finished[record.run_id] = record.steps
        regime = _said(record, spec.rule)
        self._regimes[regime] += 1
        steps = np.asarray(record.columns["step"], dtype=float)
        accuracy = np.asarray(record.columns.get("val_accuracy", np.full(len(steps), np.nan)), dtype=float)
        self._curves = [*self._curves, _curve(record.run_id, regime, steps, accuracy)][-CURVES:]

    def values(self, widths: Sequence[tuple[int, Mapping[tuple[str, str], float]]]) -> dict[str, Any]:
        """Return how the sweep stands as plain values; `widths` are those of the bands after so many runs each."""
        if self.spec is None:
            return {"name": self.folder.name, "there": False, "line": "waiting for the sweep to begin"}
        asked = sum(1 for _ in lines.read(self.folder / "asked.jsonl"))
        running = self.running
        flight = self._in_flight() if running else 0
        mean = float(np.mean(list(self._finished.values()))) if self._finished else float(self.spec.rule.budget)
        left = max(self.wanted - self.finished, 0)
        return {
            "name": self.spec.name,
            "there": True,
            "running": running,
            "complete": self.complete,
            "line": self._line(flight, running=running),
            "rule": self.spec.rule.sentence(),
            "steps": f"{sum(self._finished.values()):,} optimizer steps done"
            + (f", about {left * mean:,.0f} left" if left else ""),
            "next": self._next(asked, widths),
            "regimes": [
                *(
                    {"name": str(name), "colour": colour, "runs": self._regimes[str(name)]}
                    for name, colour in REGIME_COLOURS.items()
                ),
                *(
                    {"name": name, "colour": "var(--muted)", "runs": self._regimes[name]}
                    for name in WITHOUT.values()
                    if self._regimes[name]
                ),
            ],
            "widths": [
                {"runs": runs, "bands": {" | ".join(pair): width for pair, width in found.items()}}
                for runs, found in widths
            ],
            "curves": [*self._curves, *self._so_far()],
        }

    def _so_far(self) -> list[dict[str, Any]]:
        """Return the curves of runs that have no regime yet."""
        found = self._training.curves(self._finished.keys())
        return [_curve(run_id, "", *found[run_id]) for run_id in list(found)[:CURVES]]

    def _line(self, flight: int, *, running: bool) -> str:
        line = f"{self.finished:,} of {self.wanted:,} runs"
        if self.complete:
            return f"{line}: the sweep is done"
        return (
            f"{line}, {flight:,} running"
            if running
            else f"{line}; no process runs it now: the command that began it goes on"
        )

    def _next(self, asked: int, widths: Sequence[tuple[int, Mapping[tuple[str, str], float]]]) -> str:
        """Return what the sampler does next, and why."""
        if self.spec is None or self.complete:
            return ""
        name = self.spec.sampler
        summary = describe(SAMPLERS, name).summary
        why = f"{name}: {summary.partition(': ')[2] or summary}."
        to_come = self.wanted - asked
        if not SAMPLERS.member(name).adaptive or to_come <= 0:
            return f"All {asked:,} runs are chosen; {asked - self.finished:,} of them are not finished. {why}"
        text = f"{to_come:,} runs are still to be chosen, {min(self.spec.wave, to_come)} at a time. {why}"
        if widths and widths[-1][1]:
            (first, second), width = next(iter(widths[-1][1].items()))
            wide = f"{width:.3f} of an axis wide" if width < 1 else "wider than an axis"
            text += f" The map is least sure where {first} meets {second}: that 90 % band is {wide}."
        return text

    def _in_flight(self) -> int:
        """Return how many runs were handed out and are not finished."""
        handed = set[str]()
        for line in lines.read(self.folder / "cohorts.jsonl"):
            try:
                handed.update(map(str, json.loads(line)["run_ids"]))
            except (ValueError, KeyError, TypeError):
                continue
        return len(handed - self._finished.keys())

    @property
    def running(self) -> bool:
        """Say whether a process runs the sweep now, without touching its lock."""
        try:
            at = (self.folder / "lock").stat()
            held = LOCKS.read_text(encoding="ascii")
        except (OSError, ValueError):
            return False
        place = f"{os.major(at.st_dev):02x}:{os.minor(at.st_dev):02x}:{at.st_ino}"
        return any(line.split()[1] == "FLOCK" and place in line.split() for line in held.splitlines())


def _said(record: RunRecord, rule: RegimeRule) -> str:
    """Return the regime of a finished run, or why it has none, as the progress of a sweep has it."""
    return WITHOUT.get(record.outcome) or str(record.regime_under(rule))


def _curve(run_id: str, regime: str, steps: Array, accuracy: Array) -> dict[str, Any]:
    """Return a run's validation accuracy at few steps, evenly over their logarithm."""
    known = np.flatnonzero(np.isfinite(accuracy) & (steps >= 1))
    if len(known) > POINTS:
        logs = np.log(steps[known])
        wanted = np.linspace(logs[0], logs[-1], POINTS)
        known = known[np.unique(np.searchsorted(logs, wanted).clip(0, len(known) - 1))]
    return {
        "run": run_id,
        "regime": regime,
        "step": steps[known].tolist(),
        "accuracy": np.round(accuracy[known], 4).tolist(),
    }
