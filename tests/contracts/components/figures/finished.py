"""Finished: how many runs of the map ended in each regime."""

from analysis.figures.base import REGIME_COLOURS, drawing, new_figure
from analysis.figures.own import MapFigure
from grokcore.records.regimes import REGIMES


class Finished(MapFigure):
    """A bar for each regime."""

    def draw(self, fitted, style):
        counts = fitted.runs["regime"].value_counts()
        with drawing(style):
            figure, axes = new_figure((style.width, 0.5 * style.width))
            heights = [int(counts.get(str(regime), 0)) for regime in REGIMES]
            axes.bar([str(r) for r in REGIMES], heights, color=[REGIME_COLOURS[r] for r in REGIMES])
            axes.set_ylabel("runs")
        return figure
