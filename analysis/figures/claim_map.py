"""A published map and ours in one picture: a cell's ground is what our seeds did, the dot in it what was published."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analysis.figures.base import INK, REGIME_COLOURS, number, pretty
from analysis.statistics.claims import CurveRun
from analysis.statistics.published_map import PublishedMap
from grokcore.records.regimes import REGIMES, Regime

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS, UP = 6, 16
"""Values that are named at most along an axis: more would run into one another."""


def draw(axis: Axes, question: PublishedMap, runs: Sequence[CurveRun]) -> None:
    """Draw all runs, those beyond the published cells too; the rows' field lies across."""
    from matplotlib.patches import Patch, Rectangle

    across, up = question.axes
    regimes: dict[tuple[float, float], list[Regime]] = defaultdict(list)
    for run in sorted(question.chosen(runs), key=lambda run: int(run.settings.get("seed", 0))):
        regimes[float(run.settings[across]), float(run.settings[up])].append(question.regime(run))
    columns, lines = (sorted({place[i] for place in regimes}) for i in (0, 1))
    for (x, y), found in regimes.items():
        for place, regime in enumerate(found):
            left, width = columns.index(x) - 0.5 + place / len(found), 1 / len(found)
            ground = Rectangle(
                (left, lines.index(y) - 0.5), width, 1, facecolor=REGIME_COLOURS[regime], edgecolor="none"
            )
            axis.add_patch(ground)
    published = question.published
    for run in question.chosen(runs):
        if (cell := question.cell(run)) is not None:
            at = columns.index(float(run.settings[across])), lines.index(float(run.settings[up]))
            colour = REGIME_COLOURS[REGIMES[published[cell]]]
            axis.plot(*at, marker="o", color=colour, markeredgecolor=INK, markersize=6, linestyle="none")
    for values, most, set_ticks in ((columns, ACROSS, axis.set_xticks), (lines, UP, axis.set_yticks)):
        places = np.arange(len(values))[:: math.ceil(len(values) / most)]
        set_ticks(places, [number(values[place]) for place in places], fontsize="small")
    axis.set_xlim(-0.5, len(columns) - 0.5)
    axis.set_ylim(-0.5, len(lines) - 0.5)
    axis.set_xlabel(pretty(across))
    axis.set_ylabel(pretty(up))
    shown = [regime for regime in REGIMES if any(regime in found for found in regimes.values())]
    handles = [Patch(facecolor=REGIME_COLOURS[regime], label=str(regime)) for regime in shown]
    axis.legend(
        handles=handles, title="ground: our seeds\ndot: published", loc="center left", bbox_to_anchor=(1.01, 0.5),
        frameon=False, fontsize="small", title_fontsize="small",
    )  # fmt: skip
