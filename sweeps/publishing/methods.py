"""Methods: what a sweep did, as a paragraph for a paper with its versions and sources."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.exports import latex
from grokcore.config.reference import describe
from grokcore.config.registry import Registry
from grokcore.errors import DataError
from grokcore.measures.base import MEASURES, chosen_measures
from grokcore.run_config import REGISTRIES, flatten
from sweeps.publishing import bibliography
from sweeps.publishing.bibliography import Reference
from sweeps.samplers.base import SAMPLERS
from sweeps.spec.space import Choice, Range
from sweeps.stopping.base import STOPPING

if TYPE_CHECKING:
    import pandas as pd

    from sweeps.finished_runs.load import SweepFolder

REGIMES, GROKKING = "2205.10343", "2201.02177"
"""The paper that named the four regimes, and the one that found grokking."""
TOOLS = {"PyTorch": ("torch", "1912.01703"), "Ray Tune": ("ray", "1807.05118"), "Optuna": ("optuna", "1907.10902")}
"""What trained, distributed and chose the runs: its package, and its paper."""


@dataclass(frozen=True, kw_only=True)
class Methods:
    """What is said of a sweep's making."""

    sentences: tuple[tuple[str, tuple[Reference, ...]], ...]
    """Each with the sources that stand at its end."""

    @property
    def references(self) -> list[Reference]:
        """Return the sources in the order in which they are cited, each once."""
        return list({one.key: one for _, sources in self.sentences for one in sources}.values())

    def text(self) -> str:
        """Return the paragraph with authors and years in brackets."""
        return " ".join(_said(text, "; ".join(one.short for one in sources)) for text, sources in self.sentences)

    def latex(self) -> str:
        r"""Return the paragraph in LaTeX, with ``\cite``."""
        return " ".join(
            latex.escape(text.rstrip("."))
            + (f" \\cite{{{','.join(one.key for one in sources)}}}" if sources else "")
            + "."
            for text, sources in self.sentences
        )

    def bibtex(self) -> str:
        """Return the sources as BibTeX."""
        return "\n\n".join(one.bibtex for one in self.references) + "\n"


def _said(text: str, sources: str) -> str:
    return f"{text.rstrip('.')} ({sources})." if sources else text


def methods(sweep: SweepFolder) -> Methods:
    """Return the methods of a sweep's finished runs; raises `DataError` if there are none."""
    runs = sweep.runs
    if not len(runs):
        raise DataError(f"sweep {sweep.spec.name!r} has no finished run yet, so there is nothing to cite.")
    found = list(_sentences(sweep, runs))
    return Methods(sentences=tuple((text, tuple(sources)) for text, sources in found))


def _sentences(sweep: SweepFolder, runs: pd.DataFrame) -> Iterator[tuple[str, Sequence[Reference]]]:
    spec, rule = sweep.spec, sweep.rule
    yield (
        f"Runs were trained and mapped with Grokmap {_versions(runs, 'grokmap')}.",
        [bibliography.software()],
    )
    for section in REGISTRIES:
        yield from _parts(section, sweep, runs)
    yield "Settings that are not named have the defaults of that version.", []
    yield from _measured(spec.measures, runs)
    varied = "; ".join(f"{name} {_range(one)}" for name, one in spec.whole_space.dimensions.items())
    stopped = "" if spec.stopping == "none" else f", and ended early by the rule {spec.stopping}"
    chosen = _sources(SAMPLERS, spec.sampler) + (_sources(STOPPING, spec.stopping) if stopped else [])
    yield (
        f"{len(runs):,} runs were made over {varied}, chosen by the sampler {spec.sampler} with seed {spec.seed}"
        f"{stopped}.",
        chosen,
    )
    yield f"The regimes follow the rule: {rule.sentence()}.", bibliography.chosen([REGIMES, GROKKING])
    counts = ", ".join(f"{count:,} {name}" for name, count in runs["regime"].value_counts().items())
    ended = ", ".join(f"{count:,} {name}" for name, count in runs["outcome"].value_counts().items())
    yield f"By regime the runs are {counts}; by outcome {ended}.", []
    if model := _model(sweep.folder):
        yield f"The map's model: {model}.", []
    tools = [f"{name} {_versions(runs, package)}" for name, (package, _) in TOOLS.items()]
    yield (
        f"Software: {', '.join(tools)}, NumPy {_versions(runs, 'numpy')}, Python {_versions(runs, 'python')}; "
        f"device {_versions(runs, 'device')}, {_versions(runs, 'dtype')}.",
        bibliography.chosen(number for _, number in TOOLS.values()),
    )


def _parts(section: str, sweep: SweepFolder, runs: pd.DataFrame) -> Iterator[tuple[str, list[Reference]]]:
    """Say which member of a family was used, with the settings that were given and that all its runs share."""
    registry, column = REGISTRIES[section], f"{section}.name"
    given = flatten(sweep.spec.run)
    for name, group in runs.groupby(column, sort=True) if column in runs.columns else ():
        if section in {"transform", "initialisation"} and str(name) in {"none", "default"}:
            continue
        member = registry.member(str(name))
        defaults = {field.name: str(field.default) for field in dataclasses.fields(member)}
        shared = {
            field.removeprefix(f"{section}."): group[field].iloc[0]
            for field in runs.columns
            if field.startswith(f"{section}.") and field != column and group[field].astype(str).nunique() == 1
        }
        settings = ", ".join(
            f"{field} {_value(value)}"
            for field, value in shared.items()
            if str(value) not in {"", "None", "nan"}
            and (f"{section}.{field}" in given or str(value) != defaults.get(field))
        )
        plain = re.sub(r"\s*\([^()]*arXiv[^()]*\)", "", describe(registry, str(name)).summary).rstrip(". ")
        what = plain.partition(": ")[2] or plain
        yield f"The {section} is {name}{f' ({settings})' if settings else ''}: {what}.", _sources(registry, str(name))


def _measured(choice: str, runs: pd.DataFrame) -> Iterator[tuple[str, list[Reference]]]:
    taken = [
        name
        for name, measure in chosen_measures(choice).items()
        if any(number in runs.columns for number in measure.numbers or (name,))
    ]
    if taken:
        numbers = [number for name in taken for number in _papers(MEASURES, name)]
        yield f"Measured: {', '.join(name.replace('_', ' ') for name in taken)}.", bibliography.chosen(numbers)


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _sources(registry: Registry[Any], name: str) -> list[Reference]:
    return bibliography.chosen(_papers(registry, name))


def _papers(registry: Registry[Any], name: str) -> list[str]:
    return bibliography.papers_named(describe(registry, name).definition)


def _range(dimension: Any) -> str:
    if isinstance(dimension, Range):
        return f"{dimension.low:g} to {dimension.high:g}{' (logarithmic)' if dimension.log else ''}"
    if isinstance(dimension, Choice):
        return ", ".join(
            str(one.get("name", one)) if isinstance(one, Mapping) else str(one) for one in dimension.values
        )
    return str(dimension)


def _versions(runs: pd.DataFrame, name: str) -> str:
    """Return what the runs' records say of a version; of a library that they do not name, the one that is here."""
    found = {str(values[name]) for text in runs["environment"].unique() if name in (values := json.loads(text))}
    if not found:
        try:
            found = {version(name)}
        except PackageNotFoundError:
            found = {"(version not known)"}
    return " and ".join(sorted(found))


def _model(folder: Path) -> str:
    """Return what the map that is there says of its model; empty where none is drawn."""
    try:
        return str(json.loads((folder / "definition.json").read_text(encoding="utf-8"))["weight_sentence"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
