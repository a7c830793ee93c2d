"""What a cell of a table says: a number, a truth value, a word or nothing, whatever type it is stored as."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from grokcore.errors import DataError

HOLES = ("nan", "NaN", "NAN", "null", "NULL", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaT")
"""Words for an empty cell in any column; ``None`` may also be the name of a method, so only numbers read it so."""
TRUTHS = {
    **dict.fromkeys(("true", "yes", "y", "t", "1", "1.0", "on"), True),
    **dict.fromkeys(("false", "no", "n", "f", "0", "0.0", "off"), False),
}
"""Words for true and false, in small letters."""

Array = npt.NDArray[np.float64]
LOOK = 20
"""Cells of a column that are looked at first."""
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf(?:inity)?"
"""What a number looks like."""


def is_text(values: pd.Series) -> bool:
    """Say whether a column is stored as text or as objects of any kind."""
    return bool(pd.api.types.is_object_dtype(values) or pd.api.types.is_string_dtype(values))


def empty(values: pd.Series) -> npt.NDArray[np.bool_]:
    """Say, per cell, whether it is empty, or a word for that."""
    found = values.isna().to_numpy(dtype=bool)
    if not is_text(values):
        return found
    words = values.astype(object).map(lambda value: _word(value).lower())
    holes = {word.lower() for word in HOLES} | {"", "none"}
    return np.asarray(found | words.isin(holes).to_numpy(dtype=bool))


def as_numbers(values: pd.Series) -> Array:
    """Return a column as floats: NaN where a cell is empty or no number, infinity for what is beyond 1.8e308."""
    if pd.api.types.is_datetime64_any_dtype(values) or pd.api.types.is_timedelta64_dtype(values):
        return np.full(len(values), np.nan)
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_complex_dtype(values):
        return values.to_numpy(dtype=float, na_value=np.nan)
    if isinstance(values.dtype, pd.StringDtype):
        text = values.str.strip()
        return text.where(text.str.fullmatch(NUMBER, case=False).fillna(False).astype(bool)).to_numpy(
            dtype=float, na_value=np.nan
        )
    return np.array([_number(value) for value in values.astype(object)], dtype=float)


def numbers(table: pd.DataFrame, name: str) -> Array:
    """Return a column as finite floats, or raise `DataError` naming the first row that is not."""
    values = as_numbers(table[name])
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        row = table.index[bad[0]]
        raise DataError(
            f"column {name}: {shown(table[name].iloc[bad[0]])} (row {row}) is not a finite number "
            f"({bad.size} of {len(values)} rows); mend or drop such rows."
        )
    return values


def truths(table: pd.DataFrame, name: str) -> npt.NDArray[np.bool_]:
    """Return a column of true, yes, 1 … as booleans, or raise `DataError` naming the first row that is neither."""
    values = table[name]
    if pd.api.types.is_bool_dtype(values) and not values.isna().any():
        return values.to_numpy(dtype=bool)
    found = [TRUTHS.get(_word(value).lower()) for value in values.astype(object)]
    for place, value in enumerate(found):
        if value is None:
            cell = shown(values.iloc[place])
            raise DataError(f"column {name}: {cell} (row {table.index[place]}) is neither true nor false.")
    return np.array(found, dtype=bool)


def shown(value: Any) -> str:
    """Return a cell as an error shows it, cut where it is long."""
    try:
        text = repr(str(value))
    except ValueError:  # Python writes out no integer of more than 4,300 digits
        text = f"an integer of some {len(hex(value))} hexadecimal digits"
    return text if len(text) <= 60 else f"{text[:50]}…{text[-5:]}"


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose cells that are lists, tables or other containers are their text, so that all compare."""
    containers = [
        name
        for name in frame.columns[[pd.api.types.is_object_dtype(kind) for kind in frame.dtypes]]
        if frame[name].map(lambda value: isinstance(value, (list, dict, set, bytearray, np.ndarray))).any()
    ]
    return frame.assign(**{name: frame[name].map(str) for name in containers}) if containers else frame


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose columns of text that hold nothing but numbers, or nothing but true and false, are such.

    Names of runs stay text, since an identity of digits is no number.
    """
    changed: dict[int, pd.Series] = {}
    for place, name in enumerate(frame.columns):
        values = frame.iloc[:, place]
        if isinstance(values.dtype, pd.CategoricalDtype):
            values = changed[place] = values.astype(values.cat.categories.dtype)
        if is_text(values) and not str(name).lower().endswith("run_id"):
            found = _typed(values)
            if found is not None:
                changed[place] = found
    if not changed:
        return frame
    columns = [changed.get(place, frame.iloc[:, place]) for place in range(len(frame.columns))]
    return pd.concat(columns, axis=1, keys=range(len(columns))).set_axis(frame.columns, axis=1)


def _typed(values: pd.Series) -> pd.Series | None:
    # A look at the first cells spares most columns of words the walk over all of them.
    for some in (values.dropna().head(LOOK), values):
        words = some.astype(object).map(lambda value: _word(value).lower())
        if len(words) and words.isin(("true", "false")).all():
            found: npt.NDArray[Any] = (words == "true").to_numpy()
            continue
        holes = empty(some)
        found = as_numbers(some)
        if holes.all() or np.isnan(found[~holes]).any():
            return None
        if not holes.any() and (np.abs(found) < 2**53).all() and (found == np.round(found)).all():
            found = found.astype(np.int64)
    return pd.Series(found, index=values.index)


def _word(value: Any) -> str:
    """Return a cell as a word: that of a number says only whether it is 0 or 1, that of nothing is empty."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (int, float, np.number, Decimal)):
        return next((word for word in ("0", "1") if value == int(word)), "a number")
    return "" if value is None or value is pd.NA or value is pd.NaT else "a thing"


def _number(value: Any) -> float:
    if isinstance(value, str):
        value = value.strip()
        return float(value) if re.fullmatch(NUMBER, value, re.IGNORECASE) else float("nan")
    if isinstance(value, (bool, int, float, np.integer, np.floating, np.bool_, Decimal)):
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
        except ValueError:  # a signalling NaN of decimal
            return float("nan")
    return float("nan")
