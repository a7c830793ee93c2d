"""What every figure shares: colours that survive colour blindness and grey print, two styles, axis names, saving.

The four regime colours fall evenly in lightness (L* 93, 71, 54, 32), so they keep their order in grey, and differ in
hue along blue–yellow as well, so they stay apart under every common colour blindness.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grokcore.atomic_files import replacing
from grokcore.errors import ConfigError, unknown_name
from grokcore.records.regimes import Regime

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REGIME_COLOURS: dict[Regime, str] = {
    Regime.CONFUSION: "#434b59",
    Regime.MEMORIZATION: "#d0603a",
    Regime.GROKKING: "#6db6e3",
    Regime.COMPREHENSION: "#f6ecb5",
}
"""Fill of each regime on every map, live, printed or in a browser."""

REGIME_INK: dict[Regime, str] = {
    Regime.CONFUSION: "#ffffff",
    Regime.MEMORIZATION: "#ffffff",
    Regime.GROKKING: "#10243a",
    Regime.COMPREHENSION: "#3b3310",
}
"""Colour of text that stands on a regime's fill."""

INK = "#1d222b"
MUTED = "#6b7280"
TRAIN_COLOUR = "#d0603a"
VAL_COLOUR = "#1f6fa8"


@dataclass(frozen=True, kw_only=True)
class Style:
    """How large a figure is and how its text is set."""

    width: float
    """Width of a one-panel figure, inches."""
    wide: float
    """Width of a figure of several panels, inches."""
    font: float
    """Size of ordinary text, points; ticks and captions are a little smaller."""
    family: tuple[str, ...]
    """Font families in the order they are tried; all come with matplotlib."""
    dpi: int
    """Resolution of the PNG."""
    marker: float
    """Diameter of a run's marker, points."""
    line: float
    """Width of a curve, points."""
    bare: bool = False
    """Whether title and caption are left out, to stand beside the figure where it is printed."""

    @property
    def stacked(self) -> bool:
        """Return whether panels stand one below the other, since side by side there is no room for them."""
        return self.wide < ABREAST

    def abreast(self, panels: int) -> int:
        """Return how many of so many panels stand in a row where they are stacked: two, where one is too few."""
        return 1 if panels <= STACKED else 2

    @property
    def rc(self) -> dict[str, Any]:
        """Return the matplotlib settings of this style."""
        return {
            "font.family": list(self.family),
            "mathtext.fontset": "stix" if "STIXGeneral" in self.family else "dejavusans",
            "font.size": self.font,
            "axes.titlesize": self.font * 1.1,
            "axes.titleweight": "normal" if self.bare else "bold",
            "axes.titlelocation": "left",
            "axes.labelsize": self.font,
            "xtick.labelsize": self.font * 0.9,
            "ytick.labelsize": self.font * 0.9,
            "legend.fontsize": self.font * 0.85,
            "legend.frameon": False,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.linewidth": 0.7,
            "xtick.major.width": 0.7,
            "ytick.major.width": 0.7,
            "xtick.minor.width": 0.5,
            "ytick.minor.width": 0.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "lines.linewidth": self.line,
            "lines.solid_capstyle": "round",
            "figure.dpi": 100,
            "savefig.dpi": self.dpi,
            # Type 42 keeps text as text in a PDF; journals refuse type 3. Text stays text in an SVG too.
            "pdf.fonttype": 42,
            "svg.fonttype": "none",
            "svg.hashsalt": "grokmap",
        }


STYLES: dict[str, Style] = {
    "screen": Style(width=7.2, wide=11.0, font=10, family=("DejaVu Sans",), dpi=160, marker=5.5, line=1.6),
    # One column of a two-column paper is 3.35 in, both are 7.0 in; text as in a caption.
    "paper": Style(
        width=3.35, wide=7.0, font=7.5, family=("STIXGeneral", "DejaVu Serif"), dpi=300, marker=3.2, line=1.1, bare=True
    ),
}
"""The styles by name; `--style paper` has a journal column's width and fonts, and no caption."""
COLUMNS = {"single": 3.35, "double": 7.0}
"""Widths of a journal by name, inches: one column (85 mm) and both (178 mm)."""
ABREAST = 4.5
"""Width from which panels stand side by side, inches."""
PAGE = 7.5
"""Height that a printed figure and its caption may take together, inches: a page of LaTeX's article has 7.6."""
LOWEST = 0.75
"""Height below which a row of panels cannot be read, inches."""
LETTER, LINE, AROUND = 4.5 / 72, 12 / 72, 20 / 72
"""Width of a letter and height of a line of a printed caption of 10 points, and what lies around it, inches."""
STACKED = 3
"""Panels that stand in one column of a page at most."""
NARROWEST, WIDEST = 51 / 25.4, 305 / 25.4
"""Widths that a figure may have, inches (51 to 305 mm)."""


def style_named(name: str, width: str | None = None) -> Style:
    """Return the style of that name; a paper's at a `width`: single, double, or a length as 89mm, 8.9cm or 3.5in.

    Without a width a figure of one panel takes one column and a figure of several takes both. Raises `ConfigError`
    with what is allowed.
    """
    if name not in STYLES:
        raise ConfigError([unknown_name("style", name, STYLES)])
    style = STYLES[name]
    if width is None:
        return style
    if not style.bare:
        raise ConfigError([f"--width {width} is the width of a printed figure; give --style paper with it."])
    inches = COLUMNS[width] if width in COLUMNS else _length(width)
    return replace(style, width=inches, wide=inches)


def _length(text: str) -> float:
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(mm|cm|in)\s*", text)
    inches = float(found[1]) / {"mm": 25.4, "cm": 2.54, "in": 1.0}[found[2]] if found else 0.0
    if NARROWEST <= inches <= WIDEST:
        return inches
    raise ConfigError(
        [f"--width {text}: give single (85 mm), double (178 mm), or a length of 51 to 305 mm, as 89mm, 8.9cm or 3.5in."]
    )


def caption_height(caption: str, width: float) -> float:
    """Return about how high a caption is where it is printed under a figure of that width, inches."""
    return len(textwrap.wrap(f"Figure 1: {caption}", max(int(width / LETTER), 1))) * LINE + AROUND


def row_height(height: float, rows: int, caption: str, width: float, style: Style, legend: float = 0.0) -> float:
    """Return the height of a row of panels: `height`, or where a page is too short for all `rows`, what it leaves them.

    A page holds the figure with its `legend`, of that height, and the caption. Inches all.
    """
    room = PAGE - legend - caption_height(caption, width)
    return min(height, max(LOWEST, room / rows)) if style.bare else height


def wrapped(title: str, inches: float, style: Style) -> str:
    """Return a panel's title in lines that are no longer than so many inches."""
    return textwrap.fill(title, max(int(inches * 72 / (0.48 * style.font)), 8))


def legend_height(handles: int, columns: int, style: Style) -> float:
    """Return how high a legend of so many entries is, in so many columns, inches."""
    line = style.font * 1.2 / 72
    return -(-handles // columns) * line + (0.7 * line if handles else 0)


def legend_columns(handles: Sequence[Any], most: int, width: float, style: Style) -> int:
    """Return in how many columns, `most` at best, a legend has room in so many inches; inside `drawing`."""
    import numpy as np
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    size = style.font * 0.85
    font = FontProperties(size=size)
    long = [text_to_path.get_text_width_height_descent(one.get_label(), font, ismath=False)[0] for one in handles]
    for columns in range(min(most, len(long)), 1, -1):
        # As Legend lays them out: column by column, each as wide as its longest, beside handle and pads.
        widths = [max(column) + 2.5 * size for column in np.array_split(long, columns)]
        if sum(widths) + 1.3 * size * (columns - 1) + style.font <= 72 * width:
            return columns
    return 1


@contextmanager
def drawing(style: Style) -> Iterator[None]:
    """Draw under `style` and leave the process's own matplotlib settings untouched."""
    import matplotlib

    settings: dict[Any, Any] = {**matplotlib.rcParamsDefault, **style.rc}
    with matplotlib.rc_context(settings):
        yield


def new_figure(size: tuple[float, float], **grid: Any) -> tuple[Figure, Any]:
    """Return a figure that no window or global list knows of, and its axes as `Figure.subplots(**grid)` gives them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(**grid)


def save(figure: Figure, paths: Sequence[str | Path], style: Style) -> list[Path]:
    """Write `figure` to every path in the format of its suffix, each whole or not at all; return the paths.

    Files carry no date, so that the same figure is the same bytes.
    """
    undated: Mapping[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None, "ModDate": None}}
    with drawing(style):
        _settle(figure)
        for path in map(Path, paths):
            with replacing(path) as temporary:
                figure.savefig(temporary, metadata=undated.get(path.suffix), dpi=style.dpi)
    return [Path(path) for path in paths]


def _settle(figure: Figure) -> None:
    """Lay the figure out once, for all formats it is then written in."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        figure.draw_without_rendering()
        # None, not "none": where a placeholder stands, matplotlib draws twice for every file.
        figure.set_layout_engine(None)


def png(figure: Figure, style: Style) -> bytes:
    """Return `figure` as the bytes of a PNG file."""
    import io

    buffer = io.BytesIO()
    with drawing(style):
        _settle(figure)
        figure.savefig(buffer, format="png", dpi=style.dpi)
    return buffer.getvalue()


def svg(figure: Figure, style: Style) -> str:
    """Return `figure` as an SVG element to stand inside an HTML page.

    Its letters are outlines, which look the same where the figure's fonts are not installed.
    """
    import io

    import matplotlib

    buffer = io.StringIO()
    with drawing(style):
        _settle(figure)
        matplotlib.rcParams["svg.fonttype"] = "path"
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]


@dataclass(frozen=True, kw_only=True)
class Words:
    """What is written around a figure's panels."""

    title: str = ""
    """Above, in bold."""
    details: str = ""
    """Beneath the title, in grey."""
    caption: str
    """Under the panels; wrapped to the figure's width, a newline starts a new paragraph."""


def furnish(figure: Figure, words: Words, style: Style, handles: Sequence[Any] = (), columns: int = 4) -> None:
    """Make the figure higher by what its title, a legend of `handles` and the caption take, and write them there.

    The legend has as many of the `columns` as have room.
    A style that is bare has the legend alone.
    """
    if style.bare:
        words = Words(caption="")
    size, line = style.font * 0.82, style.font * 1.2 / 72
    # A character's width in units of its height, a little more than the fonts' average.
    characters = int(figure.get_figwidth() * 72 / (size * (0.54 if "DejaVu Sans" in style.family else 0.44)))
    lines = [part for paragraph in words.caption.split("\n") for part in textwrap.wrap(paragraph, characters)]
    columns = legend_columns(handles, columns, figure.get_figwidth(), style)
    below = legend_height(len(handles), columns, style) + len(lines) * line + 0.3 * line
    above = line * (1.5 * bool(words.title) + 1.2 * bool(words.details))
    width, height = figure.get_size_inches()
    total = height + below + above
    figure.set_size_inches(width, total)
    figure.set_layout_engine("constrained", rect=(0, below / total, 1, height / total))
    left = style.font * 0.6 / 72 / width

    def write(inches: float, text: str, **kwargs: Any) -> None:
        figure.text(left, inches / total, text, ha="left", va="top", **kwargs).set_in_layout(False)

    write(total - 0.3 * line, words.title, fontsize=style.font * 1.1, fontweight="bold")
    write(total - 1.7 * line, words.details, fontsize=style.font * 0.9, color=MUTED)
    write((len(lines) + 0.2) * line, "\n".join(lines), fontsize=size, color=MUTED, linespacing=1.25)
    if handles:
        figure.legend(
            handles=list(handles), loc="upper left", bbox_to_anchor=(left, below / total), ncols=columns,
            borderaxespad=0, borderpad=0, handletextpad=0.5, columnspacing=1.3, labelspacing=0.4,
        ).set_in_layout(False)  # fmt: skip


PRETTY: dict[str, str] = {
    "fraction": "training fraction",
    "optimizer.decay": "weight decay",
    "optimizer.rate": "learning rate",
    "decay": "weight decay",
    "rate": "learning rate",
    "seed": "seed",
    "steps": "optimizer steps",
    "last_step": "last step",
    "fourier_concentration": "Fourier concentration",
}
"""Words for the names of configuration fields that figures meet most."""


def pretty(column: str) -> str:
    """Return an axis's label: words for the usual fields, the bare field name for any other."""
    return PRETTY.get(column, column.removesuffix(".name").rpartition(".")[2].replace("_", " "))


def number(value: float) -> str:
    """Return `value` in three significant digits, as a reader would write it: 0.03, 1.5, 3,000, 1e−5."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 1e-3:
        mantissa, _, exponent = f"{value:.2g}".partition("e")
        return f"{mantissa}e−{int(exponent.lstrip('-'))}" if exponent else mantissa
    return f"{value:.3g}"


def log_steps(axis: Any) -> None:
    """Label a logarithmic axis of steps by plain numbers: 1, 10, 100, 1,000."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(base=10, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axis.set_minor_formatter(NullFormatter())
