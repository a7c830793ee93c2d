"""The interactive page of a map: one HTML file with everything inside, that makes no network request.

It carries the fitted map on a grid over all axes: probabilities, uncertainty, and on which side of each boundary the
median run is. Under another threshold, budget or delay the page labels the runs anew and takes the ground from the
posterior of the times and the critical law, which it carries too; `grokmap map` fits the whole map under that rule.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.figures.base import pretty
from analysis.maps.grid import MapGrid
from analysis.pages.html import markup, render
from analysis.pages.html import source as template
from analysis.pages.page_data import LAYERS, Drawn, page_data
from analysis.runs.categories import Level
from analysis.runs.sources import Source

if TYPE_CHECKING:
    from analysis.figures.laws import Survival
    from analysis.maps.regime_map import RegimeMap


@dataclass(frozen=True, kw_only=True)
class Laws:
    """What the page says of laws."""

    paragraphs: Sequence[str]
    """Sentences."""
    table: str
    """The law's parameters as an HTML table; may be empty."""
    figure: str
    """An SVG drawing."""


def laws_of(fitted: RegimeMap, survival: Survival, figure: str) -> Laws:
    """Return what a page says of the laws of a map: the critical law, and what each axis does to the time."""
    from analysis.figures.laws import p_words

    paragraphs = []
    for one in fitted.parts.values():
        where = ", ".join(f"{pretty(name)} {text}" for name, text in one.fixed.items())
        law = f"critical law: {one.law.formula()}" if one.law else f"no critical law: {one.law_absent}"
        paragraphs.append(f"At {where} {law}")
    if not fitted.parts:
        paragraphs.append(
            f"Critical law: {fitted.law.formula()}" if fitted.law else f"No critical law: {fitted.law_absent}"
        )
    if fitted.law:
        paragraphs.append(
            f"Right-censored fit to {fitted.law.runs} runs, of which {fitted.law.events} generalised; 95 % intervals "
            "by profile likelihood."
        )
    for axis in survival.axes:
        means = "; ".join(
            f"{third.label}: {third.mean.mean:,.0f} [{third.mean.low:,.0f}, {third.mean.high:,.0f}]"
            for third in axis.thirds
        )
        paragraphs.append(
            f"Mean steps to generalise, restricted to {survival.horizon:,}, by {axis.title}: {means} "
            f"(log-rank, lowest against highest: {p_words(axis.test.p_value)})."
        )
    table = ""
    if fitted.law is not None:
        named = fitted.law.estimates.rename_axis(columns="parameter")
        table = named.to_html(float_format="{:.3g}".format, border=0)
    return Laws(paragraphs=paragraphs, table=table, figure=figure)


def page(
    fitted: RegimeMap,
    source: Source,
    grids: Mapping[Level, MapGrid],
    definition: Mapping[str, Any],
    laws: Laws | None = None,
    drawn: Drawn | None = None,
    out: Path | None = None,
) -> str:
    """Return the page of a map as one HTML document that will stand in the folder `out`.

    `grids` holds the map's values by level of its categories, those that the page shows; () for a map without them.
    """
    axes = [*(axis.name for axis in fitted.axes), *(category.short for category in fitted.categories)]
    data = page_data(fitted, source, grids, drawn or Drawn(), out)
    return render(
        "page.html",
        title=", ".join([f"Regime map: {source.name}", *(f"{pretty(n)} {text}" for n, text in fitted.fixed.items())]),
        subtitle=f"{len(fitted.runs):,} runs over {', '.join(map(pretty, axes))}.",
        notes=fitted.notes,
        warnings=fitted.warnings,
        scripts=[markup(template(name)) for name in SCRIPTS],
        data=markup(_script_json(data)),
        page=data,
        axes=[(axis["name"], axis["label"]) for axis in data["axes"]],
        layers=LAYERS,
        marks=MARKS,
        laws=None if laws is None else {
            "paragraphs": laws.paragraphs, "table": markup(laws.table), "figure": markup(laws.figure)
        },
        commands=definition["commands"],
        environment=list(definition["environment"].items()),
        definition=json.dumps(definition, indent=2, ensure_ascii=False),
    )  # fmt: skip


SCRIPTS = ("numbers.js", "map.js", "runs.js", "use.js")
MARKS = {
    "generalised": "generalised",
    "censored": "censored: memorised, not generalised",
    "confused": "censored: not even memorised",
    "uncertain": "regime not certain",
    "unstable": "unstable",
    "forgotten": "forgotten: lost for good",
    "failed": "diverged or failed",
}
"""What each mark of a run means."""


def _script_json(values: Any) -> str:
    # "</script>" inside a string would end the element; as an escape it is the same string.
    return json.dumps(values, allow_nan=False, separators=(",", ":"), default=_plain).replace("<", "\\u003c")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written to the page")
