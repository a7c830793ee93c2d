"""Commas in the numbers of a table of text: decimal, between thousands, or open to both readings."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from analysis.runs.cells import NUMBER, as_numbers, empty, is_text
from grokcore.errors import DataError

_COMMA = r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?"
_THOUSANDS = r"[+-]?[1-9]\d{0,2}(?:,\d{3})+"
_DOTTED_THOUSANDS = r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+"
_EITHER = rf"{_COMMA}|{_THOUSANDS}(?:\.\d*)?|{_DOTTED_THOUSANDS},\d+"
_SURELY_DECIMAL = rf"(?!{_THOUSANDS}$){_COMMA}|{_DOTTED_THOUSANDS},\d+"
_SURELY_THOUSANDS = rf"{_THOUSANDS}\.\d*|[+-]?[1-9]\d{{0,2}}(?:,\d{{3}}){{2,}}"


def with_decimal_commas(frame: pd.DataFrame, reread: Callable[[], pd.DataFrame]) -> tuple[pd.DataFrame, str] | None:
    """Return the table with commas in numbers understood, and in words how; None where no column has such.

    ``0,646`` shows that commas are decimal, ``1,234.5`` or ``1,234,567`` that they stand between thousands; ``1,234``
    alone shows neither, and stays a word. `reread` gives the table again with every cell as it was written. Raises
    `DataError` where one column shows this and another that.
    """
    comma = [name for name in frame if is_text(frame[name]) and _all_match(frame[name], _EITHER)]
    if not comma:
        return None
    written = reread()
    cells = {name: written[name].str.strip() for name in comma}
    decimal = [name for name in comma if _any_match(cells[name], _SURELY_DECIMAL)]
    thousand = [name for name in comma if _any_match(cells[name], _SURELY_THOUSANDS)]
    if decimal and thousand:
        raise DataError(
            f"in some numbers the comma is decimal ({_first(cells[decimal[0]], _SURELY_DECIMAL)}), in others it stands "
            f"between thousands ({_first(cells[thousand[0]], _SURELY_THOUSANDS)}); write decimal points and no "
            "separators of thousands."
        )
    if not decimal and not thousand:
        return None
    frame = frame.copy()
    for name in comma:
        text = cells[name].str.replace(".", "") if decimal else cells[name].str.replace(",", "")
        frame[name] = as_numbers(text.str.replace(",", ".")) if decimal else as_numbers(text)
    if decimal:
        _refuse_points(written.drop(columns=comma))
    return frame, "with decimal commas" if decimal else "with commas between thousands"


def _refuse_points(written: pd.DataFrame) -> None:
    """Raise `DataError` for a column of numbers such as 1.000 where commas are decimal: it may mean a thousand."""
    for name in written:
        cells = written[name].str.strip()
        points = cells[cells.str.contains(".", regex=False)]
        if len(points) and points.str.fullmatch(_DOTTED_THOUSANDS).all():
            raise DataError(
                f"commas are decimal in some numbers, so {points.iloc[0]!r} could be a thousand or a fraction; "
                "write all numbers with decimal points and no separators of thousands."
            )


def _all_match(values: pd.Series, pattern: str) -> bool:
    """Say whether all cells that are not empty look so, or like a plain number, and one does look so."""
    text = values.dropna().astype(str).str.strip()
    text = text[~empty(text)]
    looks = text.str.fullmatch(pattern)
    return bool(looks.any() and (looks | text.str.fullmatch(NUMBER, case=False)).all())


def _any_match(text: pd.Series, pattern: str) -> bool:
    return bool(text.str.fullmatch(pattern).any())


def _first(text: pd.Series, pattern: str) -> str:
    return repr(text[text.str.fullmatch(pattern)].iloc[0])
