"""What became of the runs of a plane of two fields, and the edge from which on they generalised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analysis.figures.base import INK, MUTED, REGIME_COLOURS, pretty
from analysis.statistics.claims import CurveRun, reached
from analysis.statistics.edge import Edge
from grokcore.records.milestones import forgetting
from grokcore.records.regimes import Regime

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = {
    "generalised, kept": ("o", REGIME_COLOURS[Regime.GROKKING]),
    "generalised, lost again": ("v", INK),
    "fitted alone": ("s", REGIME_COLOURS[Regime.MEMORIZATION]),
    "not fitted": ("x", MUTED),
}
"""What becomes of a run, with its mark."""


def draw(axis: Axes, question: Edge, runs: Sequence[CurveRun]) -> None:
    """Draw every run where its settings are, and the edges with the line that was fitted to them."""
    places: dict[str, list[tuple[float, float]]] = {fate: [] for fate in MARKS}
    for run in question.chosen(runs):
        places[fate(run, question)].append((float(run.settings[question.along]), float(run.settings[question.field])))
    for name, (marker, colour) in MARKS.items():
        if places[name]:
            axis.plot(
                *zip(*places[name], strict=True),
                marker=marker,
                color=colour,
                linestyle="none",
                markersize=5,
                label=name,
            )
    edges = question.edges(runs)
    if edges:
        x, below, above = np.log10(np.array(edges)).T
        slope, start = np.polyfit(x, (below + above) / 2, 1) if len(x) > 1 else (0.0, (below + above)[0] / 2)
        axis.plot(10**x, 10 ** (slope * x + start), color=INK, linewidth=1.2, label="edge, fitted")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel(pretty(question.along))
    axis.set_ylabel(pretty(question.field))
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize="small")


def fate(run: CurveRun, question: Edge) -> str:
    """Say what became of a run: one of `MARKS`."""
    if reached(run, "val", question.at)[1]:
        accuracy = run.curves["val_accuracy"].to_numpy()
        lost = forgetting(run.curves["step"].to_numpy(), accuracy, float(np.float32(question.at)))
        return "generalised, lost again" if lost.event else "generalised, kept"
    return "fitted alone" if reached(run, "train", question.at)[1] else "not fitted"
