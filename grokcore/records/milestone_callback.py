"""Milestones of anyone's training loop: told accuracies, it knows when the run memorised and when it generalised."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from grokcore.atomic_files import replacing
from grokcore.errors import ConfigError, DataError
from grokcore.records.milestones import THRESHOLDS, Milestone, Split, evaluated_before, first_passage


class Milestones:
    """Watches one run. Call `see` where the loop evaluates; add `row` to a table that `grokmap map` reads.

    >>> watch = Milestones(threshold=0.9)
    >>> for step, train, val in [(0, 0.1, 0.1), (100, 1.0, 0.2), (900, 1.0, 0.95)]:
    ...     watch.see(step, train, val)
    >>> watch.t_mem, watch.t_gen
    (Milestone(event=True, step=100), Milestone(event=True, step=900))

    In plain torch call it in the loop; docs/tutorials/own-runs.md has the callbacks for Lightning, which knows both
    accuracies in ``on_train_epoch_end``, and for the Hugging Face Trainer (``on_evaluate``).
    """

    def __init__(self, threshold: float = 0.9) -> None:
        if not 0 < threshold <= 1:
            raise ConfigError([f"threshold = {threshold!r} must be above 0 and at most 1: it is an accuracy."])
        self.threshold = threshold
        self._seen: list[tuple[int, float, float]] = []

    def see(self, step: int, train: float, val: float) -> None:
        """Note the accuracies after `step` optimizer steps, from 0 to 1; raises `DataError` for what cannot be."""
        if self._seen and step <= self._seen[-1][0]:
            raise DataError(f"step {step} comes after step {self._seen[-1][0]}: steps must ascend, one run a callback.")
        for name, value in (("train", train), ("val", val)):
            if not 0 <= value <= 1:
                raise DataError(
                    f"{name} accuracy {value!r} at step {step} must lie between 0 and 1; divide per cent by 100."
                )
        self._seen.append((int(step), float(train), float(val)))

    def milestone(self, split: Split, threshold: float | None = None) -> Milestone:
        """Return when an accuracy first reached `threshold`, censored at the last step seen if it never did."""
        if not self._seen:
            raise DataError("nothing was seen yet: call see(step, train, val) where accuracies are known.")
        steps, train, val = (np.array(column) for column in zip(*self._seen, strict=True))
        return first_passage(steps, train if split == "train" else val, threshold or self.threshold)

    @property
    def t_mem(self) -> Milestone:
        """Return when the run memorised."""
        return self.milestone("train")

    @property
    def t_gen(self) -> Milestone:
        """Return when it generalised."""
        return self.milestone("val")

    def row(self, **axes: Any) -> dict[str, Any]:
        """Return the run as a row of a table of runs: `axes` (fraction=.5, decay=1.0 …), milestones, last step.

        Beside each milestone stands the evaluation before it, since the time itself lies between the two.
        """
        wanted: dict[str, tuple[Split, float]] = {"t_mem": ("train", self.threshold), "t_gen": ("val", self.threshold)}
        splits: tuple[Split, ...] = ("train", "val")
        wanted |= {f"t_{split}_{round(100 * at):03d}": (split, at) for split in splits for at in THRESHOLDS}
        row: dict[str, Any] = dict(axes)
        for name, (split, threshold) in wanted.items():
            milestone = self.milestone(split, threshold)
            before = evaluated_before([step for step, _, _ in self._seen], milestone.step)
            row |= {name: milestone.step, f"{name}_event": milestone.event}
            row[f"{name}_lower"] = before if milestone.event else ""
        return row | {"last_step": self._seen[-1][0]}

    def append_to(self, path: Path | str, **axes: Any) -> None:
        """Add the run to a CSV of runs; raises `DataError` if its columns are others."""
        path, row = Path(path), self.row(**axes)
        rows: list[Mapping[str, Any]] = []
        if path.exists():
            with path.open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file)
                if list(reader.fieldnames or ()) != list(row):
                    raise DataError(
                        f"{path} has columns {reader.fieldnames}, and this run {list(row)}; take another file."
                    )
                rows = list(reader)
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
            writer.writerows([*rows, row])
