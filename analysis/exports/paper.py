"""What stands beside a figure in a paper: its caption as text and as LaTeX, and the numbers as LaTeX tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.exports import latex
from analysis.figures.base import COLUMNS, LINE, PAGE, caption_height, pretty
from analysis.figures.laws import INTERVALS
from analysis.models.critical_law import CriticalLaw
from analysis.models.critical_law_likelihood import DISTANCE
from grokcore.atomic_files import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.figures.comparison import Compared
    from analysis.figures.laws import Survival
    from analysis.maps.regime_map import RegimeMap

SUFFIXES = ("txt", "tex")
"""Suffixes of the files that hold a figure's caption."""


def write_caption(out: Path, name: str, figure: Figure, caption: str) -> dict[str, Path]:
    """Write the caption of the figure `name` to NAME.txt and, in a figure environment, to NAME.tex; return the paths.

    A figure wider than one column is set over both.
    """
    wide = figure.get_figwidth() > 1.15 * COLUMNS["single"]
    environment = latex.figure(f"{name}.pdf", caption, f"fig:{name}", wide=wide)
    texts = {"txt": caption.rstrip() + "\n", "tex": environment}
    return {suffix: write_text(out / f"{name}.{suffix}", texts[suffix]) for suffix in SUFFIXES}


def too_high(name: str, figure: Figure, caption: str) -> str:
    """Return what to do about a figure that no page holds with its caption, in a sentence; empty where one does."""
    width, height = figure.get_size_inches()
    whole = height + caption_height(caption, width)
    if whole <= PAGE + LINE:
        return ""
    return (
        f"{name}.pdf is {whole:.1f} in high with its caption, and a page has {PAGE:g}: hold an axis or a category by "
        "--at, or give a larger --width."
    )


def laws_tables(fitted: RegimeMap, survival: Survival) -> str:
    """Return the laws of a map as LaTeX tables: the critical law of each level, and the mean times along each axis."""
    tables = [_law_table(law, level, index) for index, (level, law) in enumerate(_laws(fitted))]
    if survival.axes:
        tables.append(_times_table(survival))
    if not tables:
        return f"% no law could be fitted: {fitted.law_absent}\n"
    return "\n".join(tables)


def _laws(fitted: RegimeMap) -> Iterator[tuple[str, CriticalLaw]]:
    for one in fitted.parts.values() or (fitted,):
        if one.law is not None:
            yield ", ".join(f"{pretty(name)} {text}" for name, text in one.fixed.items()), one.law


def _law_table(law: CriticalLaw, level: str, index: int) -> str:
    symbols = {"log10_scale": r"$s$", "gamma": r"$\gamma$", "critical_fraction": "$f_c$", "critical_slope": "$k$"}
    symbols |= {"noise": r"$\sigma$"} | {f"a_{name}": f"$a_{{\\mathrm{{{_name(name)}}}}}$" for name in law.powers}
    meanings = {
        "log10_scale": rf"$\log_{{10}}$ delay at ${DISTANCE:g}$ above the critical fraction",
        "gamma": "exponent of the distance to the critical fraction",
        "critical_fraction": "critical fraction",
        "critical_slope": "change of the critical fraction in a decade",
        "noise": r"standard deviation of $\log_{10}$ delay over seeds",
    } | {f"a_{name}": f"exponent of {latex.escape(pretty(name))}" for name in law.powers}
    rows = [
        (symbols[str(name)], meanings[str(name)], *(latex.number(float(row[c])) for c in ("estimate", "low", "high")))
        for name, row in law.estimates.iterrows()
    ]
    cells = pd.DataFrame(rows, columns=["parameter", "meaning", "estimate", "from", "to"])
    where = f" at {latex.escape(level)}" if level else ""
    caption = (
        f"Critical law{where}: ${_formula(law)}$. Right-censored fit to {law.runs:,} runs, of which {law.events:,} "
        r"generalised; from--to: 95\,\% intervals by profile likelihood."
    )
    return latex.table(cells, caption, f"tab:law-{index + 1}", text=("parameter", "meaning"))


def _name(column: str) -> str:
    return latex.escape(column.rpartition(".")[2])


def _formula(law: CriticalLaw) -> str:
    """Return the law in LaTeX mathematics, in the symbols of its table."""
    powers = "".join(
        rf" \left(\frac{{\mathrm{{{_name(name)}}}}}{{{latex.number(10**origin).strip('$')}}}\right)"
        rf"^{{-a_{{\mathrm{{{_name(name)}}}}}}}"
        for name, origin in zip(law.powers, law.origins, strict=True)
    )
    critical = "f_c"
    if law.sloped:
        origin = latex.number(10 ** law.origins[0]).strip("$")
        critical = rf"(f_c + k \log_{{10}}(\mathrm{{{_name(law.powers[0])}}}/{origin}))"
    edge = rf"\left(\frac{{f - {critical}}}{{{DISTANCE:g}}}\right)^{{-\gamma}}"
    return rf"t_{{\mathrm{{gen}}}} - t_{{\mathrm{{mem}}}} = 10^{{s}}{powers} {edge}"


def _times_table(survival: Survival) -> str:
    rows = [
        (latex.escape(axis.title) if index == 0 else "", latex.escape(third.label), f"${third.runs}$",
         *(f"${value:,.0f}$".replace(",", "{,}") for value in (third.mean.mean, third.mean.low, third.mean.high)))
        for axis in survival.axes
        for index, third in enumerate(axis.thirds)
    ]  # fmt: skip
    cells = pd.DataFrame(rows, columns=["axis", "range", "runs", "mean steps", "from", "to"])
    caption = (
        f"Mean steps to generalise, restricted to {survival.horizon:,}, in the thirds of each axis (the others vary as "
        r"sampled); from--to: 95\,\% intervals. Runs that did not generalise are censored at their last step."
        + (latex.escape(INTERVALS) if INTERVALS in survival.caption else "")
    )
    return latex.table(cells, caption, "tab:times", text=("axis", "range"))


def comparison_table(shown: Compared) -> str:
    """Return where the edge crosses each line in both maps as a LaTeX table, under the finding in words."""
    found = shown.comparison
    held = [str(name) for name in found.table.columns if name not in {"first_edge", "second_edge"}]
    cells = pd.DataFrame(
        {latex.escape(pretty(name)): found.table[name].map(latex.number) for name in held}
        | {f"edge in {letter}": found.table[f"{side}_edge"].map(latex.number)
           for letter, side in zip("AB", ("first", "second"), strict=True)}
    )  # fmt: skip
    first, second = shown.names
    caption = latex.escape(
        f"{shown.title}, along {pretty(found.axis.name)}. A: {first}; B: {second}. {_ended(found.sentence)}"
    )
    return latex.table(cells, caption, "tab:compare")


def _ended(sentence: str) -> str:
    return f"{sentence[0].upper()}{sentence[1:].rstrip('.')}."
