"""Runs that Weights & Biases kept offline: the ``run-*.wandb`` file of each, read without the package.

A file is LevelDB's log of records: blocks of 32 KiB, each record with a checksum, a length and whether it is whole or
a first, middle or last part. A record is a protocol buffer of ``wandb_internal.proto``; of it only the few fields are
read that hold a run's name, settings and history. Nothing is executed, and a torn end, as of a run that was killed, is
left out.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from grokcore.errors import DataError

SUFFIX = ".wandb"
BLOCK = 32_768
"""Bytes in a block of the log."""
LARGEST = 2_000_000_000
"""Bytes beyond which a file is not read."""
_MAGIC = b":W&B"
_HISTORY, _CONFIG, _RUN, _EXIT = 2, 5, 17, 18
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4

Field = tuple[int, Any]


def read_offline_run(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return a run's history, one row a step that was logged (`step` and every number), and its settings.

    The settings are those of its configuration, nested names with dots, `run_id`, and `outcome`: finished, failed, or
    stopped where the file ends without a word. Raises `DataError` for a file that is none of W&B's.
    """
    if path.stat().st_size > LARGEST:
        raise DataError(f"{path} is too large to be one run's file.")
    data = path.read_bytes()
    if data[:4] != _MAGIC:
        raise DataError(f"{path} is not a file of Weights & Biases: it does not begin with {_MAGIC.decode()}.")
    rows: list[dict[str, Any]] = []
    settings: dict[str, Any] = {"run_id": path.stem.removeprefix("run-"), "outcome": "stopped"}
    try:
        for record in _records(data):
            for number, value in _fields(record):
                if number == _HISTORY:
                    rows.append(_row(value, len(rows)))
                elif number == _CONFIG:
                    settings |= _config(value)
                elif number == _RUN:
                    settings |= _run(value)
                elif number == _EXIT:
                    failed = any(code for field, code in _fields(value) if field == 1)
                    settings["outcome"] = "failed" if failed else "finished"
    except (ValueError, IndexError, struct.error, RecursionError, TypeError, AttributeError) as error:
        raise DataError(f"{path} cannot be read as a run of Weights & Biases: {str(error)[:200]}.") from error
    return pd.DataFrame(rows), settings


def _records(data: bytes) -> Iterator[bytes]:
    """Yield the log's records; what is torn at its end is left out."""
    place, parts = 7, b""
    while place + 7 <= len(data):
        room = BLOCK - place % BLOCK
        if room < 7:
            place += room
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        body = data[place + 7 : place + 7 + length]
        if len(body) < length or kind not in {_WHOLE, _FIRST, _MIDDLE, _LAST}:
            return
        place += 7 + length
        parts = body if kind in {_WHOLE, _FIRST} else parts + body
        if kind in {_WHOLE, _LAST}:
            yield parts


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
        if shift > 63:
            raise ValueError("a number is longer than ten bytes")


def _fields(data: bytes) -> Iterator[Field]:
    """Yield number and value of a message's fields: an integer, a double, or bytes."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        value: Any
        if kind == 0:
            value, place = _varint(data, place)
        elif kind == 1:
            (value,), place = struct.unpack_from("<d", data, place), place + 8
        elif kind == 5:
            (value,), place = struct.unpack_from("<f", data, place), place + 4
        elif kind == 2:
            length, place = _varint(data, place)
            value, place = data[place : place + length], place + length
            if len(value) < length:
                raise ValueError("a field is cut off")
        else:
            raise ValueError(f"a field has the unknown kind {kind}")
        yield key >> 3, value


def _item(data: bytes) -> tuple[str, Any]:
    """Return name and value of an item: typed, or JSON in text."""
    name, value = [], None
    for number, found in _fields(data):
        if number in {1, 2}:
            name.append(found.decode())
        elif number == 4:
            value = bool(found)
        elif number == 5:
            value = found - (1 << 64) if found >> 63 else found
        elif number == 6:
            value = found
        elif number == 7:
            value = found.decode()
        elif number in {8, 16}:
            value = json.loads(found)
    return ".".join(name), value


def _row(data: bytes, place: int) -> dict[str, Any]:
    """Return one row of the history: its step, and all that was logged as a number."""
    row: dict[str, Any] = {"step": place}
    for number, found in _fields(data):
        if number == 2:
            row["step"] = next((value for field, value in _fields(found) if field == 1), 0)
        elif number == 1:
            name, value = _item(found)
            row |= {
                key: one
                for key, one in flat({name: value})
                if isinstance(one, (int, float)) and not key.startswith("_")
            }
    return row


def _config(data: bytes) -> dict[str, Any]:
    items = dict(_item(found) for number, found in _fields(data) if number == 1)
    return dict(flat({name: value for name, value in items.items() if not name.startswith("_")}))


def _run(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        if number == 1:
            found["run_id"] = value.decode()
        elif number == 4:
            found |= _config(value)
    return found


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested values under names with dots; lists as JSON."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, (str, int, float, bool)) else json.dumps(value)
