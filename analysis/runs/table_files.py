"""Reading tables as people have them: Parquet, or text with any usual separator, encoding, decimal mark and packing.

What is unambiguous is read, and how it was read is said in notes; what could be read in two ways is refused.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import itertools
import lzma
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from analysis.runs.cells import HOLES, empty
from analysis.runs.decimal_commas import with_decimal_commas
from grokcore.errors import DataError

SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
"""What may stand between cells; where a header could be split by several, the one that gives most columns does."""
UNPACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
}
TEXT, PARQUET = (".csv", ".tsv"), (".parquet", ".pq")
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
HEAD = 1_000_000
"""Characters of a text that are looked at before the whole is parsed."""
LOOK = 20
"""Rows beneath the header that are looked at to find the separator."""


def read_table(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return the table in a file as it stands there, names as the file has them, and notes on how it was read.

    The form follows from the file's suffix, in small or capital letters. Raises `DataError` for a file that is not
    there, has another form, is damaged, or can be read in two ways.
    """
    if not path.is_file():
        raise DataError(_absent(path))
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    unpack = UNPACKERS.get(suffixes[-1]) if suffixes else None
    form = next(iter(suffixes[:-1]), ".csv") if unpack else next(iter(suffixes[-1:]), "")
    if form not in TEXT + PARQUET:
        raise DataError(
            f"{path}: {form or 'no suffix'} is not a run table; "
            "give a .parquet, .csv or .tsv file (text may be packed, as .csv.gz)."
        )
    try:
        content = path.read_bytes() if form in TEXT or unpack else b""
        content = unpack(content) if unpack else content
        if form in PARQUET:
            return pd.read_parquet(io.BytesIO(content) if unpack else path), []
        return _read_text(content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except MemoryError:
        raise DataError(f"{path} cannot be read as a run table: it does not fit into memory.") from None
    except Exception as error:  # damaged files make pandas, pyarrow and the unpackers raise whatever their code meets
        said = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} cannot be read as a run table: {said[:300]}") from error


def read_cells(path: Path) -> list[tuple[int, list[str]]]:
    """Return the rows of a file of text, header first, each with its line: cells as they are written, commas decimal.

    The separator, the encoding and decimal commas are understood as `read_table` does. Raises `DataError`.
    """
    try:
        text, _ = _decoded(path.read_bytes())
        separator, start = _separator(text)
        rows = list(_rows(text, separator, start, len(text)))
        if separator != "," and len(rows) > 1:
            frame = pd.DataFrame([row for _, row in rows[1:]]).fillna("")
            commas = with_decimal_commas(frame, lambda: frame)
            if commas is not None:
                for place in range(frame.shape[1]):
                    _write(commas[0][place], place, rows[1:])
        return rows
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}.") from None
    except (DataError, UnicodeError, csv.Error) as error:
        raise DataError(f"{path}: {error}") from None


def _write(numbers: pd.Series, place: int, rows: Sequence[tuple[int, list[str]]]) -> None:
    """Write a column whose commas are understood into the cells that have it."""
    for (_, row), value in zip(rows, numbers, strict=True):
        if place < len(row) and not isinstance(value, str):
            row[place] = "" if pd.isna(value) else repr(float(value))


def _absent(path: Path) -> str:
    what = "does not exist"
    if path.is_symlink():
        what = "is a link to what does not exist"
    elif path.exists():
        what = "is not a file"
    return f"{path} {what}; give a sweep's folder, a .parquet, .csv or .tsv file."


# Text -----------------------------------------------------------------------------------------------------------------


def _read_text(content: bytes) -> tuple[pd.DataFrame, list[str]]:
    text, notes = _decoded(content)
    separator, start = _separator(text)
    if separator != ",":
        notes.append(f"separated by {SEPARATORS[separator]}")
    header, frame = _parsed(text, separator, start)
    commas = with_decimal_commas(frame, lambda: _parsed(text, separator, start, as_text=True)[1])
    if commas is not None:
        frame, note = commas
        notes.append(note)
    frame.columns = pd.Index(_widened(header, frame), dtype=object)
    return frame, [f"Read as text {', '.join(notes)}."] if notes else []


def _decoded(content: bytes) -> tuple[str, list[str]]:
    """Return the text and, if it was not plain UTF-8, its encoding in words."""
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding), [] if encoding == "utf-8-sig" else [f"in {encoding.upper()}"]
    if b"\0" in content:
        # Half of the bytes of plain words in UTF-16 are zero; which half says which byte comes first.
        halves = {encoding: content[first:400:2] for encoding, first in (("utf-16-le", 1), ("utf-16-be", 0))}
        for encoding, half in halves.items():
            if half and half.count(0) > 0.9 * len(half):
                return content.decode(encoding), ["in UTF-16"]
        raise DataError("holds zero bytes, so it is not text; is its suffix right?")
    try:
        return content.decode("utf-8"), []
    except UnicodeDecodeError:
        return content.decode("cp1252"), ["in Windows-1252, since it is not UTF-8"]


def _rows(text: str, separator: str, start: int, head: int = HEAD) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, from line `start` on, cells stripped, each with the line it ends at."""
    lines = io.StringIO(text[:head], newline=None)
    for _ in range(start):
        lines.readline()
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    for row in reader:
        if any(cell.strip() for cell in row):
            yield start + reader.line_num, [cell.strip() for cell in row]


def _separator(text: str) -> tuple[str, int]:
    """Return what separates cells and at which line the table starts, beneath comments (#) and a line ``sep=;``."""
    lines = io.StringIO(text[:HEAD], newline=None).readlines()
    start = next((place for place, line in enumerate(lines) if line.strip() and not line.startswith("#")), 0)
    first = lines[start].strip().lower() if lines else ""
    if first.startswith("sep=") and first[4:] in SEPARATORS:
        return first[4:], start + 1
    widths = {separator: len(next(_rows(text, separator, start), (0, []))[1]) for separator in SEPARATORS}
    return max(widths, key=lambda separator: widths[separator]), start


def _parsed(text: str, separator: str, start: int, *, as_text: bool = False) -> tuple[list[str], pd.DataFrame]:
    """Return the header and the table beneath it, columns numbered, with pandas's own guess of types or as text."""
    rows = _rows(text, separator, start)
    line, header = next(rows, (0, []))
    first = [row for _, (_, row) in zip(range(LOOK), rows, strict=False)]
    if not first:
        found = "holds no rows beneath its header" if header else "is empty"
        raise DataError(f"{found}; give a table that has a header and a row for each run.")
    _check_width(header, first, separator)
    identities = {place: "str" for place, name in enumerate(header) if name.lower().endswith("run_id")}
    frame = pd.read_csv(
        io.BytesIO(_beneath(text, line).encode()),
        sep=separator,
        header=None,
        skipinitialspace=True,
        keep_default_na=False,
        na_values=[] if as_text else ["", *HOLES],
        dtype="str" if as_text else identities,
        low_memory=False,
    )
    return header, frame


def _beneath(text: str, line: int) -> str:
    """Return what stands beneath so many lines."""
    ends = itertools.islice(re.finditer(r"\r\n|\r|\n", text), line - 1, None)
    return text[next(ends).end() :]


def _check_width(header: Sequence[str], rows: Sequence[Sequence[str]], separator: str) -> None:
    widths = {len(row) for row in rows}
    if max(widths) <= len(header):
        return
    # A row index that the header leaves out, or a separator after the last cell.
    if widths == {len(header) + 1} and (_counts([row[0] for row in rows]) or not any(row[-1] for row in rows)):
        return
    hint = (
        " Numbers with decimal commas in a table separated by commas? Separate by semicolons, or write decimal points."
        if separator == ","
        else ""
    )
    raise DataError(f"has {len(header)} names in its header and rows of {max(widths)} cells.{hint}")


def _counts(cells: Sequence[str]) -> bool:
    """Say whether the cells are a row index: words that are all different, or or count from 0 or 1."""
    if any(cells == [str(first + place) for place in range(len(cells))] for first in (0, 1)):
        return True
    return len(set(cells)) == len(cells) and not any(any(sign.isdigit() for sign in cell[:1]) for cell in cells)


def _widened(header: list[str], frame: pd.DataFrame) -> list[str]:
    """Return a name for every column; one that the header leaves out has none, and is the first or an empty last."""
    if len(frame.columns) == len(header) + 1:
        return [*header, ""] if empty(frame.iloc[:, -1]).all() else ["", *header]
    if len(frame.columns) < len(header):
        raise DataError(f"has {len(header)} names in its header and rows of {len(frame.columns)} cells.")
    return header
