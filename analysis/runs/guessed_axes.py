"""Which columns of a table that says nothing of its axes are its axes, and on which scale: guessed, and said."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from analysis.runs.axes import are_powers
from analysis.runs.cells import as_numbers, empty, shown
from analysis.runs.columns import mangled
from grokcore.errors import SYNONYMS, DataError

MOST_AXES = 4
"""Axes that are guessed at most; beyond it the user names them."""
LOG_SPAN = 20.0
"""A column of positive numbers that spans this factor is taken for logarithmic where nothing says otherwise."""
USUAL_AXES = ("fraction", "decay", "rate")
"""Axes that a reader expects of a table that says nothing of its axes."""
AXIS_WORDS = {
    *USUAL_AXES, *("width", "modulus", "depth", "layers", "heads", "batch", "momentum", "dropout", "temperature"),
    *(word for word in SYNONYMS if word not in {"accelerator", "epochs", "init", "initialization"}),
    *("frac", "train_frac", "frac_train", "training_fraction", "data_fraction", "train_ratio", "data_frac"),
    *("l2", "weightdecay", "learningrate", "num_layers", "num_heads", "hidden_dim", "n_layer", "n_head", "init_scale"),
}  # fmt: skip
"""Last parts of names that are axes wherever they vary."""
_SEED = re.compile(r"(.*_)?(random_?state|seeds?)(_.*)?")
_COUNTER = re.compile(
    r"(.*_)?(steps?|epochs?|index|idx|ids?|number|run|trial|budget|level_\d+|row|version|iterations?)"
)
_RESULT = re.compile(
    r"(.*_)?(acc|accuracy|loss|norm|score|values?|error|auc|rank|entropy|gap)(_.*)?"
    r"|(.*_)?(time|runtime|duration|seconds|timestamp|created|date)(_.*)?"
)


def last_part(name: str) -> str:
    """Return the last part of a name in small letters, as "weight_decay" of "config/Weight Decay"."""
    return re.sub(r"[\s-]+", "_", re.split(r"[./]", name)[-1].strip().lower())


def scale_of(values: pd.Series) -> str:
    """Return the scale that suits a column of numbers: "log" where none is negative and they span a wide factor."""
    found = as_numbers(values)
    positive = found[found > 0]
    wide = len(positive) > 0 and np.log(positive.max()) - np.log(positive.min()) >= np.log(LOG_SPAN)
    return "log" if (wide or are_powers(found)) and not (found < 0).any() else "linear"


def varies(values: pd.Series) -> bool:
    """Say whether a column holds numbers, other than truth values, and more than one."""
    return is_number(values) and len(np.unique(_finite(values))) > 1


def is_number(values: pd.Series) -> bool:
    """Say whether a column holds real numbers, other than truth values."""
    kind = pd.api.types
    return kind.is_numeric_dtype(values) and not (kind.is_bool_dtype(values) or kind.is_complex_dtype(values))


def _finite(values: pd.Series) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    found = as_numbers(values)
    return found[np.isfinite(found)]


def guessed_scales(frame: pd.DataFrame, settings: Collection[str] = (), remedy: str = "") -> dict[str, str]:
    """Return the columns that are taken for axes, and their scales.

    They are the varying numbers among the table's `settings`, where it says which columns are such; else those whose
    name is an axis's or has dots; else all. Seeds, counters, results and names that stand twice are none. Raises
    `DataError` where that leaves none or too many, or of one run; `remedy` says how to name them.
    """
    spoilt = mangled(frame.columns)
    if len(frame) < 2:
        raise DataError("there is one run alone, and a map needs several that differ; make more, as by grokmap extend.")
    pool = [str(name) for name in frame.columns if str(name) not in spoilt and _may_be_axis(str(name))]
    named = [name for name in pool if name in settings] if settings else pool
    varying = [name for name in named if varies(frame[name])]
    # A table of ours holds final measures beside the configuration; the configuration is what can be an axis.
    known = [name for name in varying if "." in name or last_part(name) in AXIS_WORDS]
    chosen = varying if settings else known or varying
    if not 1 <= len(chosen) <= MOST_AXES:
        have = ", ".join(chosen[:20]) or "no column of numbers that vary"
        raise DataError(f"which columns are the axes? Found {have}; name them, {remedy}.")
    return {name: scale_of(frame[name]) for name in chosen}


def may_have_axes(frame: pd.DataFrame) -> bool:
    """Say whether any column is one that could be an axis: a number that varies, and no seed, counter or result."""
    return any(_may_be_axis(str(name)) and varies(frame[name]) for name in frame.columns)


def _may_be_axis(name: str) -> bool:
    last = last_part(name)
    if name.startswith("t_") or _SEED.fullmatch(last) or _COUNTER.fullmatch(last):
        return False
    return last in AXIS_WORDS or not _RESULT.fullmatch(last)


def refuse_words(frame: pd.DataFrame, names: Collection[str]) -> None:
    """Raise `DataError` for a column of `names` that is called like an axis and varies, but is not all numbers.

    A column of words alone is one for this only if it is no category; the caller leaves out those that are.
    """
    for name in names:
        values = frame[name]
        if not _may_be_axis(name) or last_part(name) not in AXIS_WORDS or is_number(values):
            continue
        if pd.api.types.is_bool_dtype(values) or values.astype(str).nunique() < 2:
            continue
        wrong = np.isnan(as_numbers(values))
        words = wrong & ~empty(values)
        place = int(np.argmax(words if words.any() else wrong))
        raise DataError(
            f"column {name}: {shown(values.iloc[place])} (row {frame.index[place]}) is not a number "
            f"({int(wrong.sum())} of {len(values)} rows); mend or drop such rows, or give the column another name."
        )


def said(scales: Mapping[str, str]) -> str:
    """Return the guess in a sentence."""
    return f"Axes guessed from the table: {', '.join(f'{name} ({scale})' for name, scale in scales.items())}."
