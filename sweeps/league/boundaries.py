"""Boundaries: the league page's section and picture of how far each method moves the edge of generalisation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from scipy.stats import norm

from analysis.figures import base, forest
from analysis.figures.base import number
from analysis.statistics.paired_times import holm
from sweeps.gallery.page import PLAIN
from sweeps.league import whole_map
from sweeps.league.entries import BASELINE, Method, problems
from sweeps.league.ledger import Ledger
from sweeps.league.play import map_rows
from sweeps.league.standings import ALARM, Verdict

PICTURE = "maps.png"
"""The picture's file."""

SAID = """\
On {problem}, {runs} runs a method over the share of the data and the rate, as a multiple of the tuned one: how far the
edge of generalisation moves along the share of the data, from the baseline's map to the method's, by `compare` over
pairs of runs. Below 0 the method needs less data. Of the baseline's runs {generalised} generalised. A shift stands with
its 95 % interval; it is seen where its p-value is below 5 % after Holm's correction for all {maps} maps.
"""
"""What is said of the maps."""

CAPTION = (
    "*Look for marks to the left of the line: there the method generalises from less data than the tuned baseline.",
    "Filled marks are seen after correction for all maps.*",
)


def draw(folder: Path, known: Mapping[str, Method]) -> None:
    """Write the picture of all shifts that have an interval; none where none has."""
    marks = {known[name].title: mark for name, mark, p_value, _ in shifts(folder, known) if not math.isnan(p_value)}
    if marks:
        base.save(forest.draw_shifts(marks, PLAIN, "shift of the fraction"), [folder / PICTURE], PLAIN)


def shifts(folder: Path, known: Mapping[str, Method]) -> list[tuple[str, forest.Mark, float, str]]:
    """Return what maps say, the most helpful first: method, shift, its p-value, and how many of its runs generalised.

    A shift without an interval, where the edge lies on too few lines, comes last with NaN. The p-value is the normal
    one of the interval, corrected for the number of maps; a mark is seen where it is below `ALARM`.
    """
    rows = sorted(
        (row for row in map_rows(folder) if row["method"] in known),
        key=lambda row: (math.isnan(float(str(row["low"]))), float(str(row["shift"]))),
    )
    ends = [[float(str(row[name])) for name in ("shift", "low", "high")] for row in rows]
    told = [2 * float(norm.sf(abs(shift) * 2 * 1.96 / (high - low))) for shift, low, high in ends if low < high]
    corrected = [*holm(told), *([math.nan] * (len(rows) - len(told)))]
    return [
        (
            str(row["method"]),
            forest.Mark(shift, low, high, p_value <= ALARM),
            p_value,
            f"{row['generalised']} of {row['runs']}",
        )
        for row, (shift, low, high), p_value in zip(rows, ends, corrected, strict=True)
    ]


def section(folder: Path, ledgers: Mapping[str, Ledger], known: Mapping[str, Method]) -> Iterator[str]:
    """Yield the page's section in Markdown; nothing where no maps were compared."""
    found = shifts(folder, known)
    if not found:
        return
    base = whole_map.table_of(ledgers[BASELINE])
    yield from ("", "## How far the boundary moves", "")
    yield from SAID.format(
        problem=problems()[whole_map.MAPPED].title,
        runs=len(base),
        generalised=int(base["t_gen_event"].sum()),
        maps=len(found),
    ).splitlines()
    yield from ("", "| method | shift of the fraction | corrected p | seen | generalised |", "|---|---|---|---|---|")
    for name, mark, p_value, share in found:
        title = known[name].title
        if math.isnan(p_value):
            yield f"| {title} | no edge on enough lines | | | {share} |"
            continue
        seen = ("needs less data" if mark.ratio < 0 else "needs more data") if mark.seen else str(Verdict.OPEN)
        moved = f"{mark.ratio:+.3f} ({mark.low:+.3f} to {mark.high:+.3f})"
        yield f"| {title} | {moved} | {number(p_value)} | {seen} | {share} |"
    if not all(math.isnan(p_value) for _, _, p_value, _ in found):
        yield from ("", f"![Shift of the boundary by method]({PICTURE})", "", *CAPTION)
