"""What takes long to write of a map, figures and tables: each a call that a process beside this one can make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from analysis.exports.paper import SUFFIXES, too_high, write_caption
from analysis.figures.base import STYLES, Style, save, svg
from grokcore.atomic_files import replacing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PICTURES = ("png", "svg", "pdf")
"""Suffixes of a figure's pictures."""


class Drawing(NamedTuple):
    """A figure that is still to be drawn."""

    draw: Callable[..., Figure]
    """Draws what is shown in a style."""
    shown: Any
    """What it shows, as plain values."""
    caption: str
    """What stands beneath it where it is printed."""


def import_backends() -> None:
    """Import what drawing and writing a figure needs, which takes a while."""
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_pdf
    import matplotlib.backends.backend_svg  # noqa: F401


def suffixes(style: Style) -> tuple[str, ...]:
    """Return the suffixes of the files that a figure has in a style: a printed one has its caption beside it."""
    return (*PICTURES, *SUFFIXES) if style.bare else PICTURES


def write_figure(figure: Drawing, paths: Mapping[str, Path], style: Style) -> str:
    """Draw a figure and write it to the paths by suffix, with its caption where the style leaves it out.

    Return what is to be said of it: that no page holds it, where that is so.
    """
    drawn = figure.draw(figure.shown, style)
    save(drawn, [paths[suffix] for suffix in PICTURES], style)
    if style.bare:
        pdf = paths["pdf"]
        write_caption(pdf.parent, pdf.stem, drawn, figure.caption)
        return too_high(pdf.stem, drawn, figure.caption)
    return ""


def element(draw: Callable[..., Figure], shown: Any) -> str:
    """Return a figure as an SVG element for a page."""
    style = STYLES["screen"]
    return svg(draw(shown, style), style)


def write_table(table: pd.DataFrame, paths: Mapping[str, Path]) -> None:
    """Write a table as CSV and as Parquet."""
    with replacing(paths["csv"]) as temporary:
        table.to_csv(temporary, index=False)
    with replacing(paths["parquet"]) as temporary:
        table.to_parquet(temporary, index=False)
