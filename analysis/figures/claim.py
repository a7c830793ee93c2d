"""A claim's picture: the runs that it is about, and below them their number with its interval and what agrees."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.figures import claim_edge, claim_map
from analysis.figures.base import INK, MUTED, Style, drawing, log_steps, new_figure, number, pretty
from analysis.statistics.claims import CurveRun, Finding, Question, reached, taken
from analysis.statistics.edge import Edge
from analysis.statistics.published_map import PublishedMap
from analysis.statistics.questions import (
    Beside,
    Change,
    Difference,
    Forgets,
    Order,
    Ratio,
    Reached,
    Slope,
    Value,
    plateau,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#3b6fb6", "#d0603a", "#4a9a5b", "#8a5fb0", "#b08a2e", "#434b59")
"""Colours of settings, in the order in which they come; told apart by their names in the key, too."""

SIZE = (6.4, 3.4)
"""Inches."""

WIDE = 100
"""Factor from which on an axis shows powers of ten alone."""

MOST = 60
"""Runs that are drawn: of more, so many are taken evenly."""


def draw(question: Question, runs: Sequence[CurveRun], found: Finding, style: Style) -> Figure:
    """Return the picture of a question put to runs."""
    with drawing(style):
        figure, (above, below) = new_figure(SIZE, nrows=2, height_ratios=(5, 1))
        asked = list(_asked(question, runs))
        if isinstance(question, PublishedMap):
            claim_map.draw(above, question, runs)
        elif isinstance(question, Edge):
            claim_edge.draw(above, question, runs)
        elif isinstance(question, Slope):
            _draw_slope(above, question, asked)
        elif isinstance(question, Beside):
            _draw_quotient(above, question, asked)
        else:
            _draw_curves(above, question, asked)
        _draw_interval(below, question, found)
    return figure


def _asked(question: Question, runs: Sequence[CurveRun]) -> Iterator[CurveRun]:
    """Yield the runs that a question is about, all its settings together."""
    sides: list[Any] = [{}]
    if isinstance(question, Ratio):
        sides = [question.slow, question.fast]
    elif isinstance(question, Difference):
        sides = [question.one, question.other]
    for side in sides:
        chosen = question.chosen(runs, side)
        yield from chosen[:: max(1, math.ceil(len(chosen) / MOST))]


def columns(question: Question) -> list[str]:
    """Return the curves that a question is about."""
    if isinstance(question, Order):
        return [question.first, question.then]
    if isinstance(question, (Value, Difference, Change, Reached)):
        return [question.column]
    return [f"{question.split}_accuracy"]  # type: ignore[attr-defined]


def varied(runs: Sequence[CurveRun]) -> list[str]:
    """Return the settings in which runs differ, their seeds apart."""
    names = {name for run in runs for name in run.settings if name != "seed"}
    return sorted(name for name in names if len({json.dumps(run.settings.get(name)) for run in runs}) > 1)


def label(run: CurveRun, names: Sequence[str]) -> str:
    """Return what tells a run from the others: the parts that differ, or else the first two fields that do."""
    return ", ".join(
        _words(name, run.settings.get(name))
        for name in [name for name in names if name.endswith(".name")] or list(names)[:2]
    )


def _words(name: str, value: Any) -> str:
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return shown if name.endswith(".name") else f"{pretty(name)} {shown}"


def _draw_curves(axis: Axes, question: Question, runs: Sequence[CurveRun]) -> None:
    names, shown = varied(runs), columns(question)
    labels = list(dict.fromkeys(label(run, names) for run in runs))
    few = len(labels) <= len(COLOURS)
    for place, column in enumerate(shown):
        for run in runs:
            if column not in run.curves:
                continue
            known = run.curves.loc[run.curves["step"] > 0, ["step", column]].dropna()
            colour = COLOURS[labels.index(label(run, names))] if few else MUTED
            values = known[column].to_numpy()
            if len(shown) > 1 and len(values):
                ends = values[0], values[-1]
                values = (values - ends[0]) / (ends[1] - ends[0]) if ends[0] != ends[1] else values * math.nan
                colour = COLOURS[place]
            axis.plot(known["step"], values, color=colour, linewidth=1, alpha=0.8)
    axis.set_xscale("log")
    log_steps(axis.xaxis)
    axis.set_xlabel("optimizer steps")
    axis.set_ylabel("share of its change" if len(shown) > 1 else pretty(shown[0]))
    if len(shown) == 1 and shown[0].endswith("accuracy"):
        axis.set_ylim(-0.03, 1.03)
    elif len(shown) == 1 and _wide([value for run in runs for value in taken(run, shown[0])]):
        axis.set_yscale("log")
    if (level := getattr(question, "at", None)) is not None:
        axis.axhline(level, color=MUTED, linewidth=0.8, linestyle="dotted")
    entries = (
        [(pretty(name), COLOURS[place]) for place, name in enumerate(shown)]
        if len(shown) > 1
        else [(name, COLOURS[place]) for place, name in enumerate(labels) if name and few]
    )
    for name, colour in entries:
        axis.plot([], [], color=colour, label=name)
    if entries:
        axis.legend(frameon=False, fontsize="small")


def _draw_quotient(axis: Axes, question: Beside, runs: Sequence[CurveRun]) -> None:
    """Draw the quotient of two measures over steps, and a mark on each run's plateau."""
    for run in runs:
        values = question.quotient(run)
        values = values[values.index > 0]
        axis.plot(values.index, values, color=COLOURS[0], linewidth=1, alpha=0.8)
        place = plateau(run, values.index.to_series())
        if place is not None:
            axis.plot(values.index[place], values.iloc[place], marker="o", color=COLOURS[0], linestyle="none")
    axis.set_xscale("log")
    log_steps(axis.xaxis)
    axis.set_xlabel("optimizer steps; dots: plateau")
    axis.set_ylabel(f"{pretty(question.column)} / {pretty(question.beside)}", fontsize="small")


def _wide(values: Sequence[float]) -> bool:
    """Say whether values are best seen on a logarithmic axis."""
    return bool(values) and min(values) > 0 and max(values) > WIDE * min(values)


def _draw_slope(axis: Axes, question: Slope, runs: Sequence[CurveRun]) -> None:
    for run in runs:
        step, event = reached(run, question.split, question.at)
        begun = reached(run, "train", 0.99)[0] if question.wait else 0.0
        if run.settings[question.field] > 0 and step > begun:
            axis.plot(
                run.settings[question.field],
                step - begun,
                marker="o" if event else "^",
                color=COLOURS[0] if event else "none",
                markeredgecolor=COLOURS[0],
                linestyle="none",
            )
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel(pretty(question.field))
    axis.set_ylabel("steps of delay" if question.wait else "steps")


def _draw_interval(axis: Axes, question: Question, found: Finding) -> None:
    """Draw the region that agrees as a band, the number as a point and its interval as a line through it."""
    given = [question.low, question.high, found.estimate, found.low, found.high]
    ends = [end for end in given if end is not None and math.isfinite(end)]
    log = not isinstance(question, (Beside, Difference, Edge, Forgets, PublishedMap, Value, Reached, Slope)) and all(
        end > 0 for end in ends
    )
    places = np.log10(ends) if log else np.array(ends)
    room = max(0.15 * (places.max() - places.min()), 1e-9, 0.05 * abs(places).max()) if len(places) else 1.0
    least, most = (places.min() - room, places.max() + room) if len(places) else (0.0, 1.0)
    left, right = (10**least, 10**most) if log else (least, most)
    low = left if question.low is None else question.low
    high = right if question.high is None else question.high
    axis.axvspan(low, high, color="#4a9a5b", alpha=0.25, linewidth=0)
    if not math.isnan(found.low):
        axis.plot([max(found.low, left), min(found.high, right)], [0, 0], color=INK, linewidth=2)
    if not math.isnan(found.estimate):
        axis.plot([found.estimate], [0], marker="o", color=INK)
    if log:
        axis.set_xscale("log")
        axis.set_xlim(left, right)
        _plain_ticks(axis)
    axis.set_xlim(left, right)
    axis.set_ylim(-1, 1)
    axis.set_yticks([])
    axis.set_xlabel(f"{question.NUMBER}: {said(found)}; green agrees", fontsize="small")


def _plain_ticks(axis: Axes) -> None:
    """Label a logarithmic axis that may be shorter than a decade: 1, 2, 5, 10, or 1, 10 where it is long."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_xlim()
    subs = (1.0, 2.0, 5.0) if high < WIDE * low else (1.0,)
    axis.xaxis.set_major_locator(LogLocator(base=10, subs=subs, numticks=8))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axis.xaxis.set_minor_formatter(NullFormatter())


def said(found: Finding) -> str:
    """Return a number with its interval, as tables have it."""
    if math.isnan(found.estimate):
        return "–"
    estimate = number(found.estimate)
    if math.isnan(found.low):
        return f"{estimate} (no interval)"
    if math.isinf(found.high) and math.isinf(found.low):
        return f"{estimate} (unbounded)"
    if math.isinf(found.high):
        return f"> {estimate} (at least {number(found.low)})"
    if math.isinf(found.low):
        return f"< {estimate} (at most {number(found.high)})"
    return f"{estimate} ({number(found.low)} to {number(found.high)})"
