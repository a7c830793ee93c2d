"""Where a map's runs come from: a sweep's folder, a table of anyone's runs, or a DataFrame."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.runs.axes import are_powers
from analysis.runs.categories import CATEGORICAL, chosen_categories, guessed_categories, with_choices
from analysis.runs.run_table import MILESTONES, read_runs
from grokcore.errors import DataError
from grokcore.records.regimes import RegimeRule
from grokcore.records.run_record import DEFAULT_RATIO

MOST_AXES = 4
"""Axes that are guessed at most; beyond it the user names them."""
LOG_SPAN = 20.0
"""A column of positive numbers that spans this factor is taken for logarithmic where nothing says otherwise."""
AXIS_WORDS = ("fraction", "decay", "rate", "width", "modulus", "depth")
USUAL_AXES = ("fraction", "decay", "rate")
"""Axes that a reader expects of a table that says nothing of its axes."""
NOT_AXES = ("seed", "steps", "last_step", "budget", "run", "index")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Runs and what is known of them."""

    name: str
    """What the map is called: the sweep's name, or the file's."""
    frame: pd.DataFrame
    """The run table."""
    curves: pd.DataFrame | None
    """Long table of curves (run_id, step, …), where there is one."""
    spec: Mapping[str, Any]
    """The sweep's specification as plain values; empty for a bare table."""
    path: Path | None
    """Folder or file it was read from."""

    @property
    def rule(self) -> RegimeRule | None:
        """Return the rule of the sweep's specification, if it has one."""
        section = self.spec.get("rule")
        return RegimeRule(**section) if isinstance(section, Mapping) else None

    @property
    def default_rule(self) -> RegimeRule:
        """Return the sweep's rule, or threshold 0.9, the longest run's steps and the ratio form for a bare table."""
        if self.rule is not None:
            return self.rule
        missing = [name for name in MILESTONES if name not in self.frame.columns]
        if missing:
            raise DataError(
                f"the run table has no column {', '.join(missing)}; it has {', '.join(self.frame.columns)}."
            )
        open_ended = self.frame[~self.frame["t_gen_event"].astype(bool)]
        steps = pd.to_numeric((open_ended if len(open_ended) else self.frame)["t_gen"], errors="coerce")
        if not np.isfinite(steps.max()):
            raise DataError("no run says how long it was followed; give a rule with a budget.")
        return RegimeRule(budget=int(steps.max()), ratio=DEFAULT_RATIO)

    @property
    def scales(self) -> dict[str, str]:
        """Return the map's axes and their scales: those of the specification, or the columns that look like axes."""
        space = self.spec.get("space")
        found = _spec_scales(self.spec, self.frame) if isinstance(space, Mapping) else {}
        return (found or _guessed_scales(self.frame)) | dict.fromkeys(self._categories, CATEGORICAL)

    @property
    def _categories(self) -> list[str]:
        """Return the fields without order: the specification's choices of words, or the columns that look like such."""
        space = self.spec.get("space")
        if isinstance(space, Mapping):
            return chosen_categories(self.frame, space)
        return guessed_categories(self.frame, _guessed_scales(self.frame))

    @property
    def warnings(self) -> list[str]:
        """Return, in sentences, which axes one would look for are none because all runs have the same value."""
        wanted = [str(name) for name in self.spec.get("map_axes") or self.spec.get("space") or USUAL_AXES]
        columns = [column for name in wanted if (column := _column(name, self.frame)) not in (None, "seed")]
        return [
            f"{name} is {values.iloc[0]:g} in every run, so it is no axis of this map."
            for name, values in self.frame[columns].items()
            if _is_number(values) and values.nunique() == 1
        ]

    @property
    def command(self) -> list[str]:
        """Return the command lines that made the runs, where they are known."""
        if not self.spec or self.path is None:
            return []
        return [f"grokmap sweep {shlex.quote(str(self.path / 'spec.toml'))}"]


def read_source(source: str | Path | pd.DataFrame | Source) -> Source:
    """Return the runs at `source`: a sweep's folder, a .parquet or .csv file, or a DataFrame; raises `DataError`."""
    if isinstance(source, Source):
        return source
    if isinstance(source, pd.DataFrame):
        return Source(name="runs", frame=source, curves=None, spec={}, path=None)
    path = Path(source)
    frame = read_runs(path)
    if not path.is_dir():
        return Source(name=path.stem, frame=frame, curves=None, spec={}, path=path)
    curves = path / "curves.parquet"
    spec = _read_spec(path / "spec.toml")
    space = spec.get("space")
    return Source(
        name=path.resolve().name,
        frame=with_choices(frame, space) if isinstance(space, Mapping) else frame,
        curves=pd.read_parquet(curves) if curves.is_file() else None,
        spec=spec,
        path=path,
    )


def _read_spec(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(
            f"{path} cannot be read: {error}. Mend it, or move it away to map the runs without it."
        ) from error


def _column(name: str, frame: pd.DataFrame) -> str | None:
    matches = [column for column in map(str, frame.columns) if column == name or column.endswith(f".{name}")]
    return matches[0] if len(matches) == 1 or name in matches[:1] else None


def _spec_scales(spec: Mapping[str, Any], frame: pd.DataFrame) -> dict[str, str]:
    scales: dict[str, str] = {}
    space = spec["space"]
    for name in spec.get("map_axes") or space:
        column = _column(str(name), frame)
        if column is None or column == "seed" or not _varies(frame[column]):
            continue
        dimension = next((space[key] for key in space if column in (key, _column(str(key), frame))), None)
        if isinstance(dimension, Mapping) and "low" in dimension:
            scales[column] = "log" if dimension.get("log") else "linear"
        else:
            scales[column] = _scale(frame[column])
    return scales


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _varies(values: pd.Series) -> bool:
    return _is_number(values) and bool(values.nunique() > 1)


def _scale(values: pd.Series) -> str:
    positive = values[values > 0]
    wide = len(positive) > 0 and (positive.max() / positive.min() >= LOG_SPAN or are_powers(values))
    return "log" if wide and (values >= 0).all() else "linear"


def _guessed_scales(frame: pd.DataFrame) -> dict[str, str]:
    varying = [
        str(name)
        for name in frame.columns
        if not str(name).startswith("t_") and str(name) not in NOT_AXES and _varies(frame[name])
    ]
    # A table of ours holds final measures beside the configuration; the configuration is what can be an axis.
    known = [name for name in varying if "." in name or name.rpartition(".")[2] in AXIS_WORDS]
    chosen = known or varying
    if not 1 <= len(chosen) <= MOST_AXES:
        have = ", ".join(chosen[:20]) or "no column of numbers that vary"
        raise DataError(
            f"which columns are the axes? Found {have}; name them, as axes={{'fraction': 'linear', 'decay': 'log'}}."
        )
    return {name: _scale(frame[name]) for name in chosen}


def environment_of(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Return what the runs say of the machines that made them: each entry once, with all its values."""
    import json

    if "environment" not in frame.columns:
        return []
    seen: dict[str, dict[str, None]] = {}
    for text in frame["environment"].dropna().unique():
        try:
            values = json.loads(text)
        except (TypeError, ValueError):
            continue
        if not isinstance(values, Mapping):
            continue
        for name, value in values.items():
            seen.setdefault(str(name), {})[value if isinstance(value, str) else json.dumps(value)] = None
    return [(name, "; ".join(values)) for name, values in sorted(seen.items())]


def rule_options(rule: RegimeRule) -> str:
    """Return the rule as options of `grokmap map`."""
    form = f"--gap {rule.gap:g}" if rule.gap is not None else f"--ratio {rule.ratio:g}"
    return f"--threshold {rule.threshold:g} --budget {rule.budget} {form}"
