"""The layer beside the regimes: how probable it is that a run diverges, fails, is unstable, or forgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.models.classifiers import LabelProcess
from analysis.runs.axes import Array

OUTCOMES = ("diverged", "failed", "unstable", "forgotten")
"""Outcomes that are shown."""


@dataclass(frozen=True)
class OutcomeLayer:
    """Per outcome that some run had, its process and the sharpness at which it is as frequent as seen."""

    processes: Mapping[str, tuple[LabelProcess, float]]

    @classmethod
    def fit(cls, outcome: npt.NDArray[np.object_], points: Array) -> OutcomeLayer:
        """Fit to the outcomes of runs at feature rows."""
        found = {}
        for name in OUTCOMES:
            had = outcome == name
            if had.any():
                process = LabelProcess.fit(np.column_stack([had, ~had]), points)
                found[name] = process, process.matching_sharpness(points, float(had.mean()))
        return cls(found)

    def chances(self, points: Array) -> dict[str, Array]:
        """Return (n,) probabilities at feature rows, by outcome; 0 for one that no run had."""
        chances = {name: np.zeros(len(points)) for name in OUTCOMES}
        for name, (process, sharpness) in self.processes.items():
            chances[name] = process.probabilities(process.latents(points), sharpness)[:, 0]
        return chances
