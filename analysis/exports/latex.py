"""LaTeX of what is found: captions, figures to be included, tables ruled as booktabs rules them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import pandas as pd

_PLAIN = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$",
    "−": r"$-$", "–": "--", "—": "---", "×": r"$\times$", "·": r"$\cdot$", "±": r"$\pm$", "≥": r"$\geq$",
    "≤": r"$\leq$", "…": r"\dots{}", "→": r"$\rightarrow$", "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$",
    "λ": r"$\lambda$",
    "ω": r"$\omega$", "ε": r"$\epsilon$", "↦": r"$\mapsto$", "⊥": r"$\perp$", "‖": r"$\|$", "∞": r"$\infty$",
    "¹": "$^1$", "²": "$^2$", "³": "$^3$", "⁻": "$^-$",
    "σ": r"$\sigma$", "\n": " ",
}  # fmt: skip


COLUMN = 48
"""Letters that a column of a page in two has room for."""


def escape(text: str) -> str:
    """Return `text` as LaTeX that prints it: special characters are escaped, signs of mathematics are set as such.

    Letters stay as they are: LaTeX reads UTF-8. Figures in tables keep the sign − by this too.
    """
    return "".join(_PLAIN.get(character, character) for character in text)


def number(value: float) -> str:
    """Return a number in three significant digits as LaTeX mathematics; an unknown one is a dash."""
    if not math.isfinite(value):
        return "--"
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    power = rf" \times 10^{{{int(exponent)}}}" if exponent else ""
    return f"${mantissa}{power}$"


def figure(file: str, caption: str, label: str, *, wide: bool) -> str:
    """Return a figure environment, over both columns if `wide`; the file is included at the size it was drawn at."""
    name = "figure*" if wide else "figure"
    return (
        f"% needs \\usepackage{{graphicx}}; say \\graphicspath{{{{FOLDER/}}}} where the file lies elsewhere\n"
        f"\\begin{{{name}}}\n  \\centering\n  \\includegraphics{{{file}}}\n"
        f"  \\caption{{{escape(caption)}}}\n  \\label{{{label}}}\n\\end{{{name}}}\n"
    )


def table(cells: pd.DataFrame, caption: str, label: str, *, text: Sequence[str] = ()) -> str:
    """Return a table environment with booktabs' rules; `cells` and `caption` are LaTeX already.

    The columns named in `text` are set flush left, all others flush right. A table wider than one column of a page in
    two is set over both.
    """
    layout = "".join("l" if name in text else "r" for name in cells.columns)
    body = cells.to_latex(index=False, escape=False, column_format=layout).rstrip()
    lines = "\n".join(f"  {line}" for line in body.splitlines())
    name = "table*" if _letters(cells) > COLUMN else "table"
    return (
        "% needs \\usepackage{booktabs}\n"
        f"\\begin{{{name}}}\n  \\centering\n  \\caption{{{caption}}}\n  \\label{{{label}}}\n{lines}\n\\end{{{name}}}\n"
    )


def _letters(cells: pd.DataFrame) -> int:
    """Return how many letters the longest cells of all columns have, with room between."""
    rows = [list(map(str, cells.columns)), *cells.astype(str).to_numpy().tolist()]
    printed = [[len(re.sub(r"\\[A-Za-z]+|[${}]", "", cell)) + 2 for cell in row] for row in rows]
    return sum(map(max, zip(*printed, strict=True)))
