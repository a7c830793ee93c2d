"""Columns of anyone's table under names that are text, each once: indices, blanks in headers, trackers' exports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.runs.cells import plain, typed
from grokcore.errors import DataError, unknown_name

KNOWN = ("t_mem", "t_mem_event", "t_gen", "t_gen_event", "run_id", "seed", "outcome", "steps", "last_step")
"""Columns that a map reads by their names, here in any case and with blanks or hyphens for underscores."""
_UNNAMED = re.compile(r"(?:Unnamed: \d+(?:_level_\d+)?|nan|None|)", re.IGNORECASE)
_MANGLED = re.compile(r"(.+)\.\d+")


@dataclass(frozen=True, kw_only=True)
class Tracker:
    """How the export of an experiment tracker names its columns."""

    name: str
    """What it is called."""
    settings: tuple[str, ...]
    """What stands before the names of settings, which alone can be axes."""
    results: tuple[str, ...]
    """What stands before the names of results."""
    marks: frozenset[str]
    """Columns of its own; two of them, or one of its results, tell the tracker."""
    state: str
    """The column that says what became of a run."""


TRACKERS = (
    Tracker(
        name="Weights & Biases",
        settings=("config.", "config/"),
        results=("summary.", "summary/"),
        marks=frozenset({"Name", "State", "Notes", "User", "Tags", "Created", "Runtime", "Sweep", "Group", "ID"}),
        state="State",
    ),
    Tracker(
        name="MLflow",
        settings=("params.",),
        results=("metrics.",),
        marks=frozenset({"run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time"}),
        state="status",
    ),
    Tracker(
        name="Optuna",
        settings=("params_", "params."),
        results=("user_attrs_", "user_attrs."),
        marks=frozenset({"number", "value", "datetime_start", "datetime_complete", "duration", "state"}),
        state="state",
    ),
    Tracker(
        name="Ray Tune",
        settings=("config/",),
        results=(),
        marks=frozenset({"trial_id", "training_iteration", "time_total_s", "hostname", "experiment_tag"}),
        state="",
    ),
)
STATES = {
    **dict.fromkeys(("finished", "complete", "completed", "terminated"), "finished"),
    **dict.fromkeys(("crashed", "failed", "fail", "killed", "error"), "failed"),
    **dict.fromkeys(("running", "waiting", "pending", "scheduled"), "running"),
    **dict.fromkeys(("pruned", "stopped", "preempted"), "stopped"),
}
"""A tracker's word for what became of a run, in small letters, to ours."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table whose columns have names of text, each once."""

    frame: pd.DataFrame
    """The table, with numbers as numbers."""
    notes: tuple[str, ...]
    """What was understood or left out, in sentences."""
    settings: frozenset[str] = frozenset()
    """Columns that the table itself calls settings of a run; none where it does not say."""
    names: Mapping[str, str]
    """Names as the file has them to names as they are here, where these differ."""


def tidied(frame: pd.DataFrame, columns: Mapping[str, str] | None = None) -> Table:
    """Return anyone's table under names that are text; `columns` says which column is meant by a name.

    Named levels of the index are columns, columns without a name are left out, the prefixes of a tracker's export are
    taken off. Raises `DataError` for a name that stands over different columns, or in `columns` for none.
    """
    frame, notes = _with_index(frame)
    given = [_text(name) for name in frame.columns]
    frame = frame.set_axis(given, axis=1)
    frame = _asked(frame, columns or {})
    unnamed = [_UNNAMED.fullmatch(name) is not None for name in frame.columns]
    if any(unnamed):
        frame = frame.loc[:, [not absent for absent in unnamed]]
        several = f"{sum(unnamed)} columns without a name are" if sum(unnamed) > 1 else "A column without a name is"
        notes.append(f"{several} left out, as a row index is.")
    frame, said = _once(frame)
    tracker = _tracker(list(frame.columns))
    names = _short(list(frame.columns), tracker)
    settings = [] if tracker is None else [name for name in frame.columns if _prefix(name, tracker.settings)]
    table = typed(plain(frame.rename(columns=names)))
    if tracker is not None:
        notes.append(_recognised(tracker, list(frame.columns)))
        if tracker.state in table.columns and "outcome" not in table.columns:
            table["outcome"] = [STATES.get(str(word).lower(), "") for word in table[tracker.state]]
    return Table(
        frame=table,
        notes=(*notes, *said),
        settings=frozenset(names.get(name, name) for name in settings),
        names=names,
    )


def mangled(names: Iterable[str]) -> frozenset[str]:
    """Return the names that pandas made of a name that stood there twice, as decay.1 beside decay."""
    names = set(names)
    return frozenset(name for name in names if (found := _MANGLED.fullmatch(name)) and found[1] in names)


def _text(name: Any) -> str:
    if isinstance(name, tuple):
        return ".".join(part for part in map(_text, name) if part)
    return " ".join(str(name).replace("\ufeff", "").split())


def _with_index(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the table with the named levels of its index as columns, unless columns say the same."""
    levels = [level for level in frame.index.names if level is not None and _text(level)]
    index = frame.index.to_frame(index=False)
    index.columns = pd.Index(list(frame.index.names), dtype=object)
    frame = frame.reset_index(drop=True)
    taken = {_text(name) for name in frame.columns}
    found = [place for place, level in enumerate(index.columns) if level in levels and _text(level) not in taken]
    if not found:
        return frame, []
    names = ", ".join(_text(index.columns[place]) for place in found)
    whole = pd.concat([index.iloc[:, found], frame], axis=1)
    return whole, [f"The table's index is read as {'column' if len(found) == 1 else 'columns'} {names}."]


def _asked(frame: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Return the table with each column of `columns` under the name asked for; another of that name goes."""
    for name, column in columns.items():
        if column not in frame.columns:
            raise DataError(unknown_name("column", column, list(frame.columns)))
        if name != column:
            frame = frame.loc[:, [other != name for other in frame.columns]].rename(columns={column: name})
    return frame


def _once(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the table with each name once; raises `DataError` where columns of one name differ."""
    if not frame.columns.has_duplicates:
        return frame, []
    twice = list(dict.fromkeys(frame.columns[frame.columns.duplicated()]))
    for name in twice:
        places = [place for place, other in enumerate(frame.columns) if other == name]
        first = frame.iloc[:, places[0]].astype(str)
        if any(not first.equals(frame.iloc[:, place].astype(str)) for place in places[1:]):
            where = " and ".join(str(place + 1) for place in places)
            raise DataError(
                f"column {name} appears twice with different values (columns {where}); "
                "rename or delete all but one in the table."
            )
    return frame.loc[:, ~frame.columns.duplicated()], [f"{', '.join(twice)} twice, with equal values: read once."]


def _prefix(name: str, prefixes: Sequence[str]) -> str:
    return next((prefix for prefix in prefixes if name.startswith(prefix) and name != prefix), "")


def _tracker(names: Sequence[str]) -> Tracker | None:
    """Return the tracker whose export has such columns, if one has."""
    for tracker in TRACKERS:
        results = any(_prefix(name, tracker.results) for name in names)
        if any(_prefix(name, tracker.settings) for name in names) and (results or len(tracker.marks & set(names)) > 1):
            return tracker
    return None


def _short(names: Sequence[str], tracker: Tracker | None) -> dict[str, str]:
    """Return new names for those with a tracker's prefix or another spelling of one of ours, if the new one is free."""
    taken, found = set(names), {}
    for name in names:
        prefix = _prefix(name, (*tracker.settings, *tracker.results)) if tracker else ""
        short = name.removeprefix(prefix)
        plain = re.sub(r"[\s-]+", "_", short.lower())
        short = plain if plain in KNOWN else short
        if short != name and short not in taken:
            taken.add(short)
            found[name] = short
    return found


def _recognised(tracker: Tracker, names: Sequence[str]) -> str:
    prefixes = [prefix for prefix in (*tracker.settings, *tracker.results) if any(_prefix(n, [prefix]) for n in names)]
    forms = " and ".join(f"{prefix}NAME" for prefix in prefixes)
    return f"Read as an export of {tracker.name}: {forms} {'are' if len(prefixes) > 1 else 'is'} called NAME."
