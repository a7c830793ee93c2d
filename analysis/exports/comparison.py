"""Export a comparison of two maps: its figure, its page, the crossings as a table, and what it found as JSON."""

from __future__ import annotations

import base64
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.exports import paper
from analysis.exports.provenance import code_revision
from analysis.figures import base, comparison
from analysis.maps.comparison import Comparison, compare
from analysis.maps.of_source import map_of
from analysis.maps.regime_map import RegimeMap
from analysis.models.cores import single_threaded
from analysis.pages.html import markup, render
from analysis.runs.sources import Source, read_source, rule_options
from grokcore.atomic_files import replacing, write_text
from grokcore.output_paths import check_outputs

if TYPE_CHECKING:
    from grokcore.records.regimes import RegimeRule

EDGE = ("memorization", "grokking")
"""The edge that is compared unless another is named."""


TABLE = "compare-table.tex"
FILES = (*(f"compare.{suffix}" for suffix in ("png", "svg", "pdf", "csv", "json", "html", *paper.SUFFIXES)), TABLE)
"""Files that a comparison may write."""


@single_threaded()
def export_comparison(
    first: str | Path | pd.DataFrame | Source,
    second: str | Path | pd.DataFrame | Source,
    out: str | Path,
    *,
    regimes: tuple[str, str] = EDGE,
    along: str | None = None,
    at: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {}),
    rule: RegimeRule | None = None,
    style: str = "screen",
    width: str | None = None,
) -> tuple[Comparison, dict[str, Path]]:
    """Compare the maps of two sweeps (or tables) and write it to the folder `out`; return the finding and the paths.

    Both maps are fitted under `rule`, or each under its own sweep's; `at` says the level of each category in the
    first and in the second, which may be one sweep at two levels; `style` and `width` are those of `export_map`.
    Raises before anything is written: `DataError` when the two cannot be compared, `OutputError` when `out` cannot be
    written to or a file in it is one that is read.
    """
    look = base.style_named(style, width)
    sources = read_source(first, curves=False), read_source(second, curves=False)
    out = Path(out)
    check_outputs([out / name for name in FILES], [path for one in sources for path in one.inputs])
    whole = [map_of(sources[0], rule)]
    same = sources[0].path is not None and sources[0].path == sources[1].path
    whole.append(whole[0] if same else map_of(sources[1], rule))
    maps = tuple(one.level(level) for one, level in zip(whole, at, strict=True))
    found = compare(maps[0], maps[1], regimes=regimes, along=along)
    names = _names(sources, maps)
    shown = comparison.info((maps[0], maps[1]), names, found)
    drawing = comparison.draw(shown, look)
    command = _command(sources, out, found, rule, at) + _look(style, width)

    paths = {suffix: out / f"compare.{suffix}" for suffix in ("png", "svg", "pdf")}
    base.save(drawing, list(paths.values()), look)
    paths["csv"] = out / "compare.csv"
    if look.bare:
        paths |= paper.write_caption(out, "compare", drawing, f"{shown.title}. {shown.caption}")
        paths["table"] = write_text(out / TABLE, paper.comparison_table(shown))
    with replacing(paths["csv"]) as temporary:
        found.table.to_csv(temporary, index=False)
    values = finding(found, names) | {"command": command, "code_revision": code_revision()}
    paths["json"] = write_text(out / "compare.json", json.dumps(values, indent=2, ensure_ascii=False) + "\n")
    paths["html"] = write_text(out / "compare.html", _page(shown, (maps[0], maps[1]), command))
    return found, paths


def _command(
    sources: tuple[Source, Source],
    out: str | Path,
    found: Comparison,
    rule: RegimeRule | None,
    at: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> str:
    words = ["grokmap", "compare", *(str(source.path or source.name) for source in sources), "--out", str(out)]
    for option, held in zip(("--at", "--versus"), at, strict=True):
        words += [word for name, value in held.items() for word in (option, f"{name}={value}")]
    named = {**sources[1].columns, **sources[0].columns}, {**sources[1].axes, **sources[0].axes}
    for option, given in zip(("--column", "--axis"), named, strict=True):
        words += [word for name, value in given.items() for word in (option, f"{name}={value}")]
    words += ["--along", found.axis.short, "--edge", f"{found.first},{found.second}"]
    return f"{shlex.join(words)} {rule_options(rule)}" if rule is not None else shlex.join(words)


def _look(style: str, width: str | None) -> str:
    options = {"style": None if style == "screen" else style, "width": width}
    return "".join(f" --{name} {shlex.quote(value)}" for name, value in options.items() if value)


def _names(sources: tuple[Source, Source], maps: Sequence[RegimeMap]) -> tuple[str, str]:
    """Return what A and B are called, each unlike the other: by name, level, or path."""
    levels = [", ".join(f"{base.pretty(name)} {text}" for name, text in one.fixed.items()) for one in maps]
    first, second = (
        f"{source.name} at {level}" if level else source.name for source, level in zip(sources, levels, strict=True)
    )
    if first != second:
        return first, second
    return tuple(str(source.path or f"{source.name} {letter}") for source, letter in zip(sources, "AB", strict=True))  # type: ignore[return-value]


def finding(found: Comparison, names: tuple[str, str]) -> dict[str, Any]:
    """Return a comparison as plain values; what could not be stated is null."""

    def stated(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "first_map": names[0],
        "second_map": names[1],
        "edge": [found.first, found.second],
        "along": found.axis.name,
        "scale": found.axis.scale,
        "shift": stated(found.shift),
        "low": stated(found.low),
        "high": stated(found.high),
        "lines": found.lines,
        "paired_runs": found.paired_runs,
        "paired_seeds": found.paired_seeds,
        "same_rule": found.same_rule,
        "sentence": found.sentence,
    }


def _page(shown: comparison.Compared, maps: tuple[RegimeMap, RegimeMap], command: str) -> str:
    found, screen = shown.comparison, base.STYLES["screen"]
    headings = {f"{side}_edge": f"edge in {name}" for side, name in zip(("first", "second"), shown.names, strict=True)}
    facts = zip(*(_facts(name, one).items() for name, one in zip(shown.names, maps, strict=True)), strict=True)
    return render(
        "compare.html",
        title=f"{shown.names[0]} and {shown.names[1]}, compared",
        sentence=f"{found.sentence[0].upper()}{found.sentence[1:].rstrip('.')}",
        warnings=[
            *shown.notes,
            *(f"{letter}: {text}" for letter, one in zip("AB", maps, strict=True) for text in one.warnings),
        ],
        pictures={
            name: (words, base64.b64encode(base.svg(figure, screen).encode()).decode())
            for name, (words, figure) in comparison.pictures(maps, shown, screen).items()
        },
        lines=[(name, colour) for name, (colour, _) in zip(shown.names, comparison.LOOKS, strict=True)],
        regimes=[(str(regime), colour) for regime, colour in base.REGIME_COLOURS.items()],
        names=shown.names,
        first=found.first,
        second=found.second,
        table=markup(
            found.table.rename(columns=lambda name: headings.get(name, base.pretty(name))).to_html(
                index=False, na_rep="", border=0, float_format=base.number
            )
        ),
        facts=[(name, a, b) for (name, a), (_, b) in facts],
        command=command,
    )


def _facts(name: str, one: RegimeMap) -> Mapping[str, str]:
    runs = one.runs
    counts = runs["regime"].value_counts()
    return {
        "runs of": name,
        "rule": one.rule.sentence(),
        "number of runs": f"{len(runs):,}",
        "by regime": ", ".join(f"{number:,} {regime}" for regime, number in counts.items()),
        "seeds": str(runs["seed"].nunique()) if "seed" in runs.columns else "not said",
        "axes": ", ".join(f"{a.short} {base.number(a.low)}–{base.number(a.high)} ({a.scale})" for a in one.axes),
        "model": one.weight_sentence,
    }
