"""Categories: fields of a run that have no order, as the optimizer's name; a map has a panel for each of their levels.

And the columns that vary without being an axis or a category: over them a map would average without saying so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.runs.axes import Array, Axis, column_of
from grokcore.errors import DataError, unknown_name

CATEGORICAL = "categorical"
"""What `axes` says of a category, where it says "linear" or "log" of a number."""
MOST_LEVELS = 24
"""Levels of a category at most; a column with more of them is a name, not a category."""
FEWEST_OF_A_LEVEL = 2
"""Runs that a guessed category has at each level at least, on average."""
Level = tuple[str, ...]
"""One level of every category, in their order; empty for a map without categories."""

_HARMLESS = re.compile(
    r"(outcome|regime|known|reason|ruled_out|environment|run|run_id|id|name|display_name|notes|user|tags?|state|status|group|sweep"
    r"|url|uri|host|hostname|device|index|number|rank|steps?|last_step|budget|epochs?|job_type|commit|version)"
    r"|(.*_)?(seeds?|random_state|time|times|date|datetime|runtime|duration|seconds|timestamp|created|start|end|complete)"
    r"|(.*_)?(loss|losses|acc|accuracy|accuracies|score|error|norm|metric|auc|value|values|id|uuid|gap)"
)
_RESULT = re.compile(r"(t_|summary[./]|metrics[./]|tags[./]|user_attrs|system_attrs|environment)")


@dataclass(frozen=True, kw_only=True)
class Category:
    """A field without order, and its levels."""

    name: str
    """The column of the run table, as "transform.name"."""
    levels: tuple[str, ...]
    """The values that runs have, as text, sorted by name but for "none", which is first."""

    @property
    def short(self) -> str:
        """Return the last part of the name that says something: "transform" of "transform.name"."""
        return self.name.removesuffix(".name").rpartition(".")[2]

    def level(self, value: object) -> str:
        """Return the level that a value means; raises `DataError` with the nearest and the list."""
        text = level_text(value)
        if text not in self.levels:
            raise DataError(unknown_name(self.short, text, self.levels))
        return text


def level_text(value: object) -> str:
    """Return a cell of a category as text: numbers in short form, an empty cell as "none"."""
    if value is None or (isinstance(value, (float, np.floating)) and math.isnan(value)) or value is pd.NA:
        return "none"
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    return f"{value:g}" if isinstance(value, (int, float, np.number)) else str(value).strip() or "none"


def level_texts(values: pd.Series) -> pd.Series:
    """Return a column of a category as text."""
    return values.map(level_text)


def split_scales(scales: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the numeric axes of `scales` with their scales, and the names of its categories."""
    numeric = {name: scale for name, scale in scales.items() if scale != CATEGORICAL}
    return numeric, [name for name, scale in scales.items() if scale == CATEGORICAL]


def make_categories(table: pd.DataFrame, names: Iterable[str]) -> tuple[Category, ...]:
    """Return the categories called `names` with the levels that runs have; raises `DataError` for too many levels."""
    found = []
    for given in names:
        name = category_column(given, table.columns)
        levels = sorted(level_texts(table[name]).unique(), key=lambda text: (text != "none", text))
        if len(levels) > MOST_LEVELS:
            raise DataError(
                f"category {given}: has {len(levels)} levels in {len(table)} runs ({', '.join(levels[:3])}, …); "
                f"at most {MOST_LEVELS} make panels. Give it as a number (linear or log), or leave out some runs."
            )
        found.append(Category(name=name, levels=tuple(levels)))
    return tuple(found)


def category_column(name: str, columns: Iterable[str]) -> str:
    """Return the column that a category's name means: itself, or of a section its "name"; raises `DataError`."""
    columns = [str(column) for column in columns]
    sections = [column for column in columns if column == f"{name}.name" or column.endswith(f".{name}.name")]
    if name not in columns and len(sections) == 1:
        return sections[0]
    return column_of(name, columns)


def level_rows(table: pd.DataFrame, categories: Sequence[Category]) -> dict[Level, npt.NDArray[np.intp]]:
    """Return the rows at each level that runs have, in the order of the categories' levels."""
    if not categories:
        return {(): np.arange(len(table))}
    codes = [
        pd.Categorical(level_texts(table[category.name]), categories=list(category.levels)).codes
        for category in categories
    ]
    unique, of_row = np.unique(np.column_stack(codes), axis=0, return_inverse=True)
    return {
        tuple(category.levels[code] for category, code in zip(categories, row, strict=True)): np.flatnonzero(
            of_row.ravel() == index
        )
        for index, row in enumerate(unique)
    }


def level_code(categories: Sequence[Category], level: Level) -> Array:
    """Return the feature columns of a level: one per level of a category, a single one where it has two."""
    columns: list[float] = []
    for category, text in zip(categories, level, strict=True):
        flags = [float(text == other) for other in category.levels]
        columns += flags[1:] if len(flags) == 2 else flags
    return np.array(columns)


def guessed_categories(frame: pd.DataFrame, taken: Collection[str]) -> list[str]:
    """Return the columns of words, each at a few levels, that are neither `taken` nor known to be harmless."""
    found = []
    for name in map(str, frame.columns):
        if name in taken or _is_harmless(name) or _is_number(frame[name]):
            continue
        levels = level_texts(frame[name]).nunique()
        if 2 <= levels <= min(MOST_LEVELS, len(frame) // FEWEST_OF_A_LEVEL) and not _all_numbers(frame[name]):
            found.append(name)
    return _without_followers(frame, found)


def with_choices(frame: pd.DataFrame, space: Mapping[str, object]) -> pd.DataFrame:
    """Return the table with a column for each choice among tables of one name, which its name's column cannot tell.

    For example transform = [{name = "grokfast_ema", alpha = 0.9}, {name = "grokfast_ema", alpha = 0.98}].
    """
    columns: dict[str, Any] = {}
    for key, choice in space.items():
        if isinstance(choice, list) and None in choice:
            # "Not set" is no number, so the choice is one among names.
            for name in (name for name in frame.columns if name == key or str(name).endswith(f".{key}")):
                columns[name] = level_texts(frame[name])
            continue
        inner = [str(name) for name in frame.columns if str(name).startswith(f"{key}.")]
        if key in frame.columns or not isinstance(choice, list) or not inner:
            continue
        names = [value.get("name") if isinstance(value, Mapping) else value for value in choice]
        if len(set(map(str, names))) < len(names):
            varying = [name for name in inner if frame[name].map(repr).nunique() > 1 and name != f"{key}.name"]
            columns[key] = [
                level_text(row[f"{key}.name"])
                + "".join(
                    f" {name.removeprefix(f'{key}.')} {level_text(row[name])}"
                    for name in varying
                    if level_text(row[name]) != "none"
                )
                for row in frame[inner].to_dict("records")
            ]
    return frame.assign(**columns)


def chosen_categories(frame: pd.DataFrame, space: Mapping[str, object]) -> list[str]:
    """Return the columns of a space's choices that are not numbers, the seed apart, where they have two levels."""
    found = []
    for key, choice in space.items():
        if not isinstance(choice, list) or key.rpartition(".")[2] == "seed":
            continue
        try:
            name = category_column(key, frame.columns)
        except DataError:
            continue
        if not _is_number(frame[name]) and level_texts(frame[name]).nunique() > 1:
            found.append(name)
    return found


def unexplained(frame: pd.DataFrame, axes: Sequence[Axis], categories: Sequence[Category]) -> list[str]:
    """Return the columns that vary and are neither axis, category, seed, result nor known to be harmless.

    A column that a category, or an axis at few values, determines varies with that and is none of them.
    """
    taken = {axis.name for axis in axes} | {category.name for category in categories}
    ours = {"run_id", "task.name", "model.name"} <= set(map(str, frame.columns))
    leaders = [level_texts(frame[category.name]) for category in categories]
    leaders += [frame[axis.name] for axis in axes if axis.levels]
    found = []
    for name in map(str, frame.columns):
        measured = ours and "." not in name and name not in _OWN_FIELDS
        if name in taken or measured or _is_harmless(name) or not _varies(frame[name]):
            continue
        texts = frame[name].map(repr)
        if not any(_determines(leader, texts) for leader in leaders):
            found.append(name)
    return found


_OWN_FIELDS = ("fraction", "batch", "output_scale", "temperature", "dropout", "gradient_noise", "dtype")
"""Undotted settings of a run of ours; its other undotted columns are results."""


def _is_harmless(name: str) -> bool:
    last = re.sub(r"[\s-]+", "_", re.split(r"[./]", name)[-1].strip().lower())
    if _RESULT.match(name):
        return True
    # "optimizer.name" is a setting, "name" the name of a run.
    return _HARMLESS.fullmatch(last) is not None and not (last == "name" and name != last)


def _is_number(values: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values)) and not pd.api.types.is_bool_dtype(values)


def _all_numbers(values: pd.Series) -> bool:
    return bool(pd.to_numeric(values.astype(str), errors="coerce").notna().all())


def _varies(values: pd.Series) -> bool:
    texts = values.map(repr)
    unique = texts.nunique()
    # Words that are all different name the runs.
    return unique > 1 and (_is_number(values) or unique < len(values))


def _determines(leader: pd.Series, texts: pd.Series) -> bool:
    return bool((texts.groupby(leader.to_numpy()).nunique() <= 1).all())


def _without_followers(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return the columns that no earlier one determines, whose levels would be the same panels again."""
    kept: list[str] = []
    for name in names:
        texts = level_texts(frame[name])
        if not any(_determines(level_texts(frame[other]), texts) for other in kept):
            kept.append(name)
    return kept
