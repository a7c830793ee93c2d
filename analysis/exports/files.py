"""What takes long to write of a map, figures and tables: each a call that a process beside this one can make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.figures.base import Style, save, svg
from grokcore.atomic_files import replacing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def import_backends() -> None:
    """Import what `write_figure` needs, which takes a while."""
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_pdf
    import matplotlib.backends.backend_svg  # noqa: F401


def write_figure(draw: Callable[..., Figure], shown: Any, paths: Sequence[Path], style: Style, inline: bool) -> str:
    """Draw a figure and write it to every path; return it as an SVG element for a page where `inline`, else nothing."""
    figure = draw(shown, style)
    element = svg(figure, style) if inline else ""
    save(figure, paths, style)
    return element


def write_table(table: pd.DataFrame, csv: Path, parquet: Path) -> None:
    """Write a table in both forms."""
    with replacing(csv) as temporary:
        table.to_csv(temporary, index=False)
    with replacing(parquet) as temporary:
        table.to_parquet(temporary, index=False)
