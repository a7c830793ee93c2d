"""Where a map's runs come from: a sweep's folder, a table of anyone's runs, or a DataFrame."""

from __future__ import annotations

import dataclasses
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.runs.axes import Box
from analysis.runs.categories import CATEGORICAL, chosen_categories, guessed_categories, with_choices
from analysis.runs.cells import as_numbers
from analysis.runs.censoring import completed, last_steps
from analysis.runs.columns import Table, tidied
from analysis.runs.curves import read_curves
from analysis.runs.guessed_axes import USUAL_AXES, guessed_scales, is_number, refuse_words, said, scale_of, varies
from analysis.runs.run_table import check_columns, read_run_table
from grokcore.errors import ConfigError, DataError
from grokcore.records.regimes import RegimeRule
from grokcore.records.run_record import DEFAULT_RATIO


@dataclass(frozen=True, kw_only=True)
class Source:
    """Runs and what is known of them."""

    name: str
    """What the map is called: the sweep's name, or the file's."""
    frame: pd.DataFrame
    """The run table."""
    curves: pd.DataFrame | None
    """Long table of curves (run_id, step, …), thinned, where there is one."""
    spec: Mapping[str, Any]
    """The sweep's specification as plain values; empty for a bare table."""
    path: Path | None
    """Folder or file it was read from."""
    notes: tuple[str, ...] = ()
    """How the table was read, and what was concluded from it, in sentences."""
    settings: frozenset[str] = frozenset()
    """Columns that the table itself calls settings; none where it does not say."""
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Names as the file has them to names as they are in `frame`, where these differ."""
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Which column was asked to be read under which name."""
    axes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """The axes that were asked for, and their scales; where there are none they are those of `spec`, or guessed."""
    tracker: str = ""
    """Address of the tracker's list of the runs that a search finds, up to the search; empty where it is not known."""
    served_by: str = ""
    """Command that serves that address; empty where a server is there anyway."""

    @property
    def rule(self) -> RegimeRule | None:
        """Return the rule of the sweep's specification, if it has one."""
        section = self.spec.get("rule")
        if not isinstance(section, Mapping):
            return None
        try:
            return RegimeRule(**section)
        except (TypeError, ConfigError) as error:
            where = "spec.toml" if self.path is None else self.path / "spec.toml"
            raise DataError(f"{where}: its rule cannot be used: {error}") from error

    @property
    def default_rule(self) -> RegimeRule:
        """Return the sweep's rule, or threshold 0.9, the longest run's steps and the ratio form for a bare table."""
        return self.rule_with()

    def rule_with(
        self,
        *,
        threshold: float | None = None,
        budget: int | None = None,
        gap: float | None = None,
        ratio: float | None = None,
    ) -> RegimeRule:
        """Return the default rule with the parts that are given changed; the table is asked only for what is not.

        Raises `DataError` where a budget must be told and is not, `ConfigError` for parts that are no rule.
        """
        rule = self.rule
        if rule is None:
            rule = RegimeRule(budget=self._longest() if budget is None else budget, ratio=DEFAULT_RATIO)
        given = {"threshold": threshold, "budget": budget}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if gap is not None or ratio is not None:
            changes |= {"gap": gap, "ratio": ratio}
        return dataclasses.replace(rule, **changes)

    def _longest(self) -> int:
        """Return the steps of the longest run that did not generalise, or of the longest of all."""
        check_columns(self.frame, ("t_mem", "t_gen"))
        frame, _ = completed(self.frame)
        open_ended = frame[~frame["t_gen_event"]]
        holes = int(open_ended["t_gen"].isna().sum())
        steps = (open_ended if len(open_ended) else frame)["t_gen"]
        if holes or not len(steps):
            remedy = "--budget STEPS" if self.path is not None else "a rule with a budget"
            raise DataError(
                f"t_gen is empty in {holes} runs that did not generalise, and no column (last_step, steps) says how "
                f"long they were followed; give {remedy}, if all were followed to one."
                if holes
                else f"the run table has no rows, so there is no budget; give {remedy}, and runs."
            )
        longest = float(np.nanmax(steps)) if len(open_ended) else float(np.nanmax([*steps, *last_steps(frame)]))
        return max(int(longest), 1)

    def completed(self, budget: int) -> Source:
        """Return the runs with what follows from their table: events, last steps, censoring at the budget."""
        frame, notes = completed(self.frame, budget)
        return dataclasses.replace(self, frame=frame, notes=(*self.notes, *notes))

    @property
    def scales(self) -> dict[str, str]:
        """Return the map's axes and their scales: asked for, of the specification, or the columns that look like it."""
        asked = {self.names.get(name, name): scale for name, scale in self.axes.items()}
        return asked or self._spec_scales or self._guess()

    @property
    def guess(self) -> str:
        """Return in a sentence which axes were guessed; empty where they were asked for, or the specification says."""
        return "" if self.axes or self._spec_scales else said(self._guess())

    def _guess(self) -> dict[str, str]:
        command_line = "as --axis fraction=linear --axis decay=log"
        remedy = "as axes={'fraction': 'linear', 'decay': 'log'}" if self.path is None else command_line
        told = [name for name in self.frame.columns if not self.settings or name in self.settings]
        categories = guessed_categories(self.frame[told], ())
        mixed = [name for name in categories if not np.isnan(as_numbers(self.frame[name])).all()]
        refuse_words(self.frame, [name for name in told if name not in categories or name in mixed])
        found = guessed_scales(self.frame, self.settings, remedy)
        return found | dict.fromkeys((name for name in categories if name not in found), CATEGORICAL)

    @property
    def _spec_scales(self) -> dict[str, str]:
        space = self.spec.get("space")
        if not isinstance(space, Mapping):
            return {}
        found = _spec_scales(self.spec, self.frame)
        # Without a numeric axis the table is asked; a category alone has no plane to draw.
        return found | dict.fromkeys(chosen_categories(self.frame, space), CATEGORICAL) if found else {}

    @property
    def box(self) -> Box:
        """Return the sweep's own ranges of its axes, by column; empty for a bare table."""
        space = self.spec.get("space")
        if not isinstance(space, Mapping):
            return {}
        found = {}
        for key, dimension in space.items():
            column, ends = _column(str(key), self.frame), _ends(dimension)
            if column is not None and ends is not None:
                found[column] = ends
        return found

    @property
    def warnings(self) -> list[str]:
        """Return, in sentences, which axes one would look for are none because all runs have the same value."""
        wanted = [str(name) for name in self.spec.get("map_axes") or self.spec.get("space") or USUAL_AXES]
        columns = [column for name in wanted if (column := _column(name, self.frame)) not in (None, "seed")]
        return [
            f"{name} is {values.iloc[0]:g} in every run, so it is no axis of this map."
            for name, values in self.frame[columns].items()
            if is_number(values) and values.nunique() == 1
        ]

    @property
    def inputs(self) -> list[Path]:
        """Return the files the runs were read from, which nothing may be written over."""
        if self.path is None:
            return []
        if not self.path.is_dir():
            return [self.path]
        names = ("spec.toml", "runs.parquet", "curves.parquet", "records.jsonl", "asked.jsonl", "cohorts.jsonl")
        return [self.path / name for name in names]

    @property
    def command(self) -> list[str]:
        """Return the command lines that made the runs, where they are known."""
        if not self.spec or self.path is None:
            return []
        return [f"grokmap sweep {shlex.quote(str(self.path / 'spec.toml'))}"]


def read_source(
    source: str | Path | pd.DataFrame | Source,
    columns: Mapping[str, str] | None = None,
    axes: Mapping[str, str] | None = None,
    *,
    curves: bool = True,
) -> Source:
    """Return the runs at `source`: a sweep's folder, a Parquet, CSV or TSV file, or a DataFrame.

    `columns` says by which name a column is meant, as {"t_gen": "summary.grokked_at"}, `axes` which columns are axes
    and on which scale; without `curves` those of a sweep are left unread. Raises `DataError`.
    """
    columns = columns or {}
    if axes:
        return dataclasses.replace(read_source(source, columns, curves=curves), axes=axes)
    if isinstance(source, Source):
        return source
    if isinstance(source, pd.DataFrame):
        return _of_table(tidied(source, columns), "runs", None, columns)
    path = Path(source)
    found = _of_table(read_run_table(path, columns), _stem(path), path, columns)
    if not path.is_dir():
        return found
    long = path / "curves.parquet"
    spec = _read_spec(path / "spec.toml")
    space = spec.get("space")
    return dataclasses.replace(
        found,
        frame=with_choices(found.frame, space) if isinstance(space, Mapping) else found.frame,
        name=path.resolve().name,
        curves=read_curves(long, len(found.frame)) if curves and long.is_file() else None,
        spec=spec,
    )


def _of_table(table: Table, name: str, path: Path | None, columns: Mapping[str, str]) -> Source:
    return Source(
        name=name,
        frame=table.frame,
        curves=None,
        spec={},
        path=path,
        notes=table.notes,
        settings=table.settings,
        names=table.names,
        columns=columns,
    )


def _stem(path: Path) -> str:
    """Return a file's name without its suffixes, as "runs" of runs.csv.gz."""
    return path.name.removesuffix("".join(path.suffixes[-2:])) or path.stem


def _read_spec(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        spec = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(
            f"{path} cannot be read: {error}. Mend it, or move it away to map the runs without it."
        ) from error
    if isinstance(space := spec.get("space"), dict):
        spec["space"] = {name: _choice(dimension) for name, dimension in space.items()}
    return spec


def _choice(dimension: Any) -> Any:
    """Return a choice as the list of its values, where None is written as a table; anything else as it is."""
    values = dimension.get("values") if isinstance(dimension, dict) else dimension
    if not isinstance(values, list):
        return dimension
    return [None if value == {"unset": True} else value for value in values]


def _column(name: str, frame: pd.DataFrame) -> str | None:
    matches = [column for column in map(str, frame.columns) if column == name or column.endswith(f".{name}")]
    return matches[0] if len(matches) == 1 or name in matches[:1] else None


def _spec_scales(spec: Mapping[str, Any], frame: pd.DataFrame) -> dict[str, str]:
    scales: dict[str, str] = {}
    space = spec["space"]
    for name in spec.get("map_axes") or space:
        column = _column(str(name), frame)
        if column is None or column == "seed" or not varies(frame[column]):
            continue
        dimension = next((space[key] for key in space if column in (key, _column(str(key), frame))), None)
        if isinstance(dimension, Mapping) and "low" in dimension:
            scales[column] = "log" if dimension.get("log") else "linear"
        else:
            scales[column] = scale_of(frame[column])
    return scales


def _ends(dimension: Any) -> tuple[float, float] | None:
    """Return the ends of a range, or of a choice among numbers, of a specification; None for another choice."""
    values = [dimension.get("low"), dimension.get("high")] if isinstance(dimension, Mapping) else dimension
    if not isinstance(values, list) or not values:
        return None
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in values):
        return None
    return float(min(values)), float(max(values))


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
