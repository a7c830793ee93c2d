"""SweepSpec: a whole sweep, written down; what `sweep.py` fills in and what `results/NAME/spec.toml` holds."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Gt, Le

from grokcore.config.component import Component, check_fields
from grokcore.config.folders import files_digest, folder_files, use_folder
from grokcore.engine.judging import Judge
from grokcore.errors import ConfigError, unknown_name
from grokcore.measures.base import chosen_measures, skipped_measures
from grokcore.notebook_tables import table_html, words
from grokcore.records.regimes import RegimeRule
from grokcore.run_config import nest
from sweeps.samplers.base import SAMPLERS, Problem, Sampler
from sweeps.spec import toml
from sweeps.spec.box import part
from sweeps.spec.goal import Goal
from sweeps.spec.space import Choice, Dimension, Range, Space
from sweeps.stopping.base import STOPPING, Stopping
from sweeps.store.storage import storage_complaints, within

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

LACKING = {"rule": ": it takes a budget, in steps, and a ratio or a gap, as { budget = 3000, ratio = 5.0 }"}
"""What a required field that is itself a table is made of, for those who left it out."""


@dataclass(frozen=True, kw_only=True)
class SweepSpec(Component):
    """A sweep: which runs there may be, how many are made, who chooses them, and what counts as grokking.

    >>> from sweeps import Range, RegimeRule
    >>> SweepSpec(
    ...     name="first",
    ...     run={"task": "modular_addition", "task.modulus": 23, "model": "mlp", "optimizer": "adamw", "steps": 2000},
    ...     space={"fraction": Range(low=0.2, high=0.9), "decay": Range(low=0.03, high=10, log=True)},
    ...     rule=RegimeRule(budget=2000, ratio=5),
    ...     runs=32,
    ... )
    <SweepSpec 'first': 32 runs over fraction, optimizer.decay, chosen by sobol>
    """

    name: str
    """Name of the sweep and of its folder under results/: letters, digits, `.`, `_` and `-`, at most 64."""
    run: Mapping[str, Any]
    """What all runs share: the fields of `RunConfig`, nested or dotted."""
    space: Mapping[str, Any]
    """What varies: a `Range` or a `Choice` for each field, by short or dotted name."""
    rule: RegimeRule
    """What counts as which regime; its budget is usually the runs' own."""
    runs: Annotated[int, Ge(1)]
    """How many runs are made."""
    sampler: str = "sobol"
    """Who chooses the runs: the name of a file in sweeps/samplers/."""
    sampler_options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of that sampler."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of the choice of runs; the runs' own seeds are a field of theirs."""
    wave: Annotated[int, Ge(1)] = 32
    """Runs that an adaptive sampler chooses at a time; the others choose all runs at once."""
    retire: bool | Annotated[float, Gt(1)] = True
    """Whether a run may leave once it has generalised and stayed there for a while, until 1.25 times the step from
    which on it had. A number: until so many times that step, so that a run is followed long enough to see it forget."""
    stopping: str = "none"
    """Which runs are not worth the rest of their budget: the name of a file in sweeps/stopping/."""
    stopping_options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of that rule."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where runs are trained."""
    device_share: Annotated[float, Gt(0), Le(1)] = 1.0
    """Part of a GPU that one cohort takes."""
    width: Annotated[int, Ge(1)] | None = None
    """Runs trained in lockstep as one cohort; measured at the start if not given."""
    checkpoint_seconds: Annotated[float, Gt(0)] = 60.0
    """Time between checkpoints of a cohort: the most work that a lost worker costs."""
    retries: Annotated[int, Ge(0)] = 3
    """How often a cohort is started again after its worker died."""
    measures: str = "light"
    """What is measured while a run trains: none, light, full or circuit, or measures with commas between."""
    keep_weights: bool = False
    """Whether to keep every run's weights at the steps at which it is measured, to be measured again later."""
    storage: str | None = None
    """Folder or bucket that all hosts see, for checkpoints, and in the end for the results; over Ray if not given."""
    components: str | None = None
    """Folder of tasks, models, samplers and so on of one's own: FOLDER/tasks/my_task.py is the task `my_task`. It
    travels to the workers, and the sweep keeps a copy. In a file, its path begins at the file's folder."""
    map_axes: tuple[str, ...] = ()
    """Axes of the map, by short or dotted name; all varied numbers but the seed if none is given."""

    focus: tuple[str, ...] = ()
    """Part of the space in which runs are still chosen, as fraction=0.3:0.5; the whole if nothing is said. Runs that
    are elsewhere already stay."""
    until: str | None = None
    """When fewer runs are enough: boundary:0.02, once the 90 % band of every boundary is narrower than that share of an
    axis, or steps:1e9, once that many optimizer steps are spent. `runs` are then the most."""

    def __repr__(self) -> str:
        over = ", ".join(self.whole_space.dimensions)
        return f"<SweepSpec {self.name!r}: {self.runs:,} runs over {over}, chosen by {self.sampler}>"

    def _repr_html_(self) -> str:
        values = self.to_dict() | {"rule": self.rule.sentence()}
        space = [(f"space: {name}", words(value)) for name, value in values.pop("space").items()]
        run = [(f"run: {name}", words(value)) for name, value in values.pop("run").items()]
        rest = [
            (name, words(value)) for name, value in values.items() if value not in (None, "", [], {}) and name != "name"
        ]
        return table_html(f"SweepSpec {self.name}", [*space, *run, *rest])

    def __post_init__(self) -> None:
        unwritable: list[str] = []
        for name in ("run", "sampler_options", "stopping_options", "map_axes"):
            object.__setattr__(self, name, toml.plain(getattr(self, name), name, unwritable))
        if isinstance(self.run, Mapping) and not unwritable:
            object.__setattr__(self, "run", nest(self.run))
        if isinstance(self.space, Mapping):
            toml.plain(dict.fromkeys(self.space), "space", unwritable)
            object.__setattr__(self, "space", dict(self.space))
        for name in ("map_axes", "focus"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        if isinstance(self.components, Path):
            object.__setattr__(self, "components", str(self.components))
        if unwritable:
            raise ConfigError(unwritable)
        if isinstance(self.components, str):
            use_folder(self.components)
        try:
            super().__post_init__()
        except ConfigError as error:
            # Say what else is wrong too, unless the fields that say so are themselves unreadable.
            wrong = {complaint.partition(" ")[0].partition(".")[0] for complaint in error.complaints}
            more = (
                ()
                if wrong & {"name", "run", "space", "sampler", "sampler_options", "map_axes", "focus"}
                else self.complaints()
            )
            raise ConfigError(dict.fromkeys([*error.complaints, *more])) from None

    def complaints(self) -> Iterator[str]:
        """Yield all that is wrong with the sweep: its name, its sampler, and any run at an end of its space."""
        if not _NAME.fullmatch(self.name):
            yield f"name = {self.name!r}: use at most 64 letters, digits, '.', '_', '-', first a letter or digit."
        wrong = [name for name, dimension in self.space.items() if not isinstance(dimension, (Range, Choice))]
        yield from (f"space.{name}: should be a Range or a Choice, not {self.space[name]!r}." for name in wrong)
        try:
            chosen_measures(self.measures if isinstance(self.measures, str) else "none")
        except ConfigError as error:
            yield from error.complaints
        if isinstance(self.storage, str):
            yield from storage_complaints(self.storage)
        sampler: list[str] = []
        if self.sampler in SAMPLERS.names:
            SAMPLERS.from_section({"name": self.sampler, **self.sampler_options}, "sampler_options", sampler)
        else:
            sampler.append(unknown_name("sampler", self.sampler, SAMPLERS.names))
        yield from sampler
        stopping = list(self._stopping_complaints())
        yield from stopping
        if not self.space:
            yield "space: give at least one field to vary."
        if wrong or not self.space:
            return
        try:
            space = Space.of(self.run, self.space)
            runs = list(space.complaints())
            yield from runs
        except ConfigError as error:
            yield from error.complaints
            return
        if not stopping and not runs:
            families = sorted({run.task.family for run in space.ends()})
            yield from self.stopping_rule.misfits(self.rule, families)
        wrongly = list(self._search_complaints())
        yield from wrongly
        if not wrongly and not sampler and isinstance(self.runs, int):
            yield from self.built_sampler.misfits(self.problem)
        yield from self._axis_complaints(space)

    def _stopping_complaints(self) -> Iterator[str]:
        if self.stopping not in STOPPING.names:
            yield unknown_name("rule of stopping", self.stopping, STOPPING.names)
            return
        found: list[str] = []
        rule = STOPPING.from_section({"name": self.stopping, **self.stopping_options}, "stopping_options", found)
        if rule is not None and not found and isinstance(self.rule, RegimeRule):
            found += rule.misfits(self.rule, ())
        yield from found

    def _search_complaints(self) -> Iterator[str]:
        """Yield what is wrong with where runs are chosen and until when."""
        if isinstance(self.until, str):
            yield from Goal.complaints_of(self.until)
        try:
            part(self.space, self.focus)
        except ConfigError as error:
            yield from (f"focus: {complaint}" for complaint in error.complaints)

    def _axis_complaints(self, space: Space) -> Iterator[str]:
        for name in self.map_axes:
            if self._axis(name, space) is None:
                yield f"map_axes: {unknown_name('axis', name, space.dimensions)}"

    def _axis(self, name: str, space: Space) -> str | None:
        matches = [full for full in space.dimensions if name in (full, full.rpartition(".")[2])]
        return matches[0] if len(matches) == 1 else None

    def unmeasured(self) -> dict[str, str]:
        """Return the measures asked for by name that cannot be taken of some of the runs, each with its reason."""
        asked, reasons = {word.strip() for word in self.measures.split(",")}, dict[str, str]()
        for run in self.whole_space.ends():
            skipped = skipped_measures(self.measures, run.task, run.model, frozenset({"keys"}))
            reasons |= {name: reason for name, reason in skipped.items() if name in asked}
        return reasons

    @property
    def own_storage(self) -> str | None:
        """Return where in the storage this sweep's files are."""
        return None if self.storage is None else within(self.storage, self.name)

    @property
    def whole_space(self) -> Space:
        """Return the space with full dotted names."""
        return Space.of(self.run, self.space)

    @property
    def chosen_space(self) -> Space:
        """Return the part of the space in which runs are still chosen."""
        return Space.of(self.run, part(self.space, self.focus))

    @property
    def problem(self) -> Problem:
        """Return what the sampler is told."""
        return Problem(dimensions=self.chosen_space.dimensions, rule=self.rule, runs=self.runs, seed=self.seed)

    @property
    def built_sampler(self) -> Sampler:
        """Return the sampler with its settings."""
        return SAMPLERS.member(self.sampler)(**self.sampler_options)

    @property
    def judge(self) -> Judge | None:
        """Return who says which runs are stopped."""
        return self.stopping_rule.judge(self.rule)

    @property
    def stopping_rule(self) -> Stopping:
        """Return the rule of stopping with its settings."""
        return STOPPING.member(self.stopping)(**self.stopping_options)

    @property
    def axes(self) -> dict[str, Literal["linear", "log"]]:
        """Return the axes of the sweep's map and their scales, by dotted name."""
        space = self.whole_space
        chosen = [self._axis(name, space) for name in self.map_axes] or list(space.dimensions)
        scales: dict[str, Literal["linear", "log"]] = {}
        for name in filter(None, chosen):
            dimension: Dimension = space.dimensions[name]
            if isinstance(dimension, Range) and name != "seed":
                scales[name] = "log" if dimension.log else "linear"
        return scales

    @property
    def component_files(self) -> dict[str, bytes]:
        """Return the files of its folder of components, by relative path; none if it names no folder."""
        return {} if self.components is None else folder_files(Path(self.components))

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain values from which `from_dict` builds an equal spec."""
        values = self.to_section()
        space = {name: _dimension_to(dimension) for name, dimension in self.space.items()}
        lists = {"map_axes": list(self.map_axes), "focus": list(self.focus)}
        return values | {"rule": self.rule.to_section(), "space": space, "run": dict(self.run)} | lists

    def definition(self) -> dict[str, Any]:
        """Return `to_dict` with a digest in place of the folder of components, which two sweeps may share or copy."""
        files = self.component_files
        return self.to_dict() | {"components": files_digest(files) if files else None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a spec from plain values, as a TOML file holds them; raises `ConfigError` with every complaint."""
        if not isinstance(values, Mapping):
            raise ConfigError([f"{values!r}: a specification is a table of fields."])
        own = {item.name: item for item in dataclasses.fields(cls)}
        complaints = [unknown_name("field", name, own) for name in values if name not in own]
        missing = dataclasses.MISSING
        required = [n for n, item in own.items() if item.default is missing and item.default_factory is missing]
        complaints += [f"{name} is missing{LACKING.get(name, '')}." for name in required if name not in values]
        given = dict(values)
        if isinstance(given.get("components"), str):
            use_folder(given["components"])
        if isinstance(given.get("rule"), Mapping):
            given["rule"] = RegimeRule.from_section(given["rule"], "rule", complaints)
        if isinstance(given.get("space"), Mapping):
            given["space"] = {name: dimension_from(name, value, complaints) for name, value in given["space"].items()}
        if not complaints:
            return cls(**given)
        checked = {name: value for name, value in given.items() if name in own and name not in ("rule", "space")}
        complaints += check_fields(cls, checked)
        raise ConfigError(dict.fromkeys([*complaints, *_run_complaints(given)]))

    def to_toml(self, components: str | None = None) -> str:
        """Return the spec as TOML, from which `from_toml` reads an equal one; `components` is another path of its."""
        given = self.to_dict() | ({"components": components} if components and self.components else {})
        values = {name: value for name, value in given.items() if value not in (None, [], {})}
        values["rule"] = {name: value for name, value in values["rule"].items() if value is not None}
        # All are tables: TOML's writer puts tables last, and the order of the fields is part of the sweep.
        values["space"] = {n: {"values": v} if isinstance(v, list) else v for n, v in values["space"].items()}
        return toml.dumps(values, f"Sweep {self.name}. Run it with: grokmap sweep THIS_FILE")

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read a spec; raises `ConfigError` that names the file for anything that is not one."""
        try:
            values = toml.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError([f"{path}: there is no such file."]) from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
            raise ConfigError([f"{path}: is not a TOML file: {error}."]) from None
        if isinstance(values.get("components"), str):
            values["components"] = str(path.parent / values["components"])
        try:
            return cls.from_dict(values)
        except ConfigError as error:
            raise ConfigError([f"{path}: {complaint}" for complaint in error.complaints]) from None


def _run_complaints(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the runs of a spec that has other faults; fields that cannot be read are not missed."""
    run, space = given.get("run"), given.get("space")
    if not isinstance(run, Mapping) or not isinstance(space, Mapping):
        return
    try:
        found = Space.of(run, {name: value for name, value in space.items() if value is not None}).complaints()
        yield from (complaint for complaint in found if not complaint.endswith("is missing."))
    except ConfigError as error:
        yield from error.complaints


def dimension_from(name: str, value: Any, complaints: list[str]) -> Dimension | None:
    """Return what a field may take from a table or a list of values; append complaints, and return None if any."""
    where = f"space.{name}"
    if isinstance(value, (Range, Choice)):
        return value
    if isinstance(value, (list, tuple)):
        value = {"values": value}
    if not isinstance(value, Mapping):
        complaints.append(f"{where} = {value!r}: give {{ low = …, high = …, log = … }} or a list of values.")
        return None
    if "values" in value:
        values = value["values"]
        section = {**value, "values": tuple(values) if isinstance(values, list) else values}
        return Choice.from_section(section, where, complaints)
    return Range.from_section(value, where, complaints)


def _dimension_to(dimension: Dimension) -> Any:
    if isinstance(dimension, Choice):
        return list(dimension.values)
    return {name: value for name, value in dimension.to_section().items() if value is not False}
