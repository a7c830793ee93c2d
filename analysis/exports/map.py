"""Export a map in every form people use: figures, tables, NetCDF, its definition, and one interactive page."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.exports import files, paper
from analysis.exports.provenance import code_revision, versions
from analysis.figures import base, laws, own, profile, regime_map, uncertainty
from analysis.maps.grid import MapGrid, map_grid
from analysis.maps.of_source import map_of
from analysis.maps.regime_map import RegimeMap
from analysis.models.cores import beside, second_process, single_threaded
from analysis.pages import map_page
from analysis.pages.page_data import Drawn
from analysis.runs.categories import Level
from analysis.runs.sources import Source, environment_of, read_source, rule_options
from grokcore.atomic_files import replacing, write_text
from grokcore.config.folders import use_folder
from grokcore.output_paths import check_outputs
from grokcore.records.regimes import REGIMES, RegimeRule

if TYPE_CHECKING:
    import xarray

    from analysis.figures.laws import Survival
    from analysis.maps.geometry import Boundary


FIGURES, TABLES = ("map", "map-uncertainty", "map-laws"), ("map", "map-boundaries", "map-runs")
LAWS_TABLES = "map-laws-tables.tex"
FILES = (
    *(f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "svg", "pdf", *paper.SUFFIXES)),
    *(f"{name}.{suffix}" for name in TABLES for suffix in ("csv", "parquet")),
    *("map.nc", "map.html", "definition.json", LAWS_TABLES),
)
"""Files that an export may write."""


@single_threaded()
def export_map(
    source: str | Path | pd.DataFrame | Source,
    out: str | Path,
    rule: RegimeRule | None = None,
    *,
    x: str | None = None,
    y: str | None = None,
    at: Mapping[str, Any] | None = None,
    axes: Mapping[str, str] | None = None,
    style: str = "screen",
    width: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Path]:
    """Fit a map to the runs at `source` and write it to the folder `out` in every form; return the paths by name.

    `source` is a sweep's folder, a table of anyone's runs (Parquet, CSV, TSV), or a DataFrame. Without a rule the
    sweep's own is used. `x` and `y` choose the axes drawn, `at` holds others fixed and categories at a level, `axes`
    says which columns are axes and on which scale (linear, log, categorical), `style` is "screen" or "paper"; a
    paper's figures have a `width` (single, double, or a length as 89mm) and their captions beside them, as text and
    LaTeX. `say` is told in a sentence what is being done. Every file is written whole or not at all, and never over
    one that is read. Raises `DataError`, `ConfigError` or `OutputError` before anything is written.
    """
    look = base.style_named(style, width)
    source = read_source(source, axes=axes)
    check_outputs([Path(out) / name for name in FILES], source.inputs)
    out, begun = Path(out), []
    with second_process(files.import_backends):
        say(f"fitting the map to {len(source.frame):,} runs …")
        fitted = map_of(source, rule)
        fitted.begin()
        say(f"drawing the map{f' at {len(fitted.parts)} levels' if fitted.parts else ''} …")
        drawn = Drawn(x=x, y=y, at=fitted.numbers_at(at))
        shown = {tuple(one.fixed.values()): one for one in regime_map.levels_drawn(fitted, at)}
        survival = laws.info(fitted, at)
        on_page = beside(files.element, laws.draw, survival) if survival.axes else str
        figures, boundaries = _figures(fitted, survival, drawn, at)
        paths: dict[str, Path] = {}
        for name, figure in figures.items():
            named = {suffix: out / f"{name}.{suffix}" for suffix in files.suffixes(look)}
            begun.append(beside(files.write_figure, figure, named, look))
            paths |= {_key(name, suffix): path for suffix, path in named.items()}
        grids = {level: map_grid(one) for level, one in shown.items()}
        definition = define(fitted, source, out, drawn, style, width)
        page = map_page.page(
            fitted, source, grids, definition, map_page.laws_of(fitted, survival, on_page()), drawn, out
        )
        say("writing the map's figures, tables and page …")
        table = pd.concat([_at_level(grids[level].table(), one) for level, one in shown.items()], ignore_index=True)
        for name, values in zip(TABLES, (table, boundaries, fitted.runs), strict=True):
            named = {suffix: out / f"{name}.{suffix}" for suffix in ("csv", "parquet")}
            files.write_table(values, named)
            paths |= {_key(name, suffix): path for suffix, path in named.items()}
        if look.bare:
            paths["laws_tables"] = write_text(out / LAWS_TABLES, paper.laws_tables(fitted, survival))
        paths["nc"] = write_netcdf(out / "map.nc", dataset(shown, grids))
        paths["html"] = write_text(out / "map.html", page)
        for said in filter(None, (wait() for wait in begun)):
            say(f"caution: {said}")
    text = json.dumps(definition, indent=2, ensure_ascii=False)
    paths["definition"] = write_text(out / "definition.json", text + "\n")
    return paths | _own_figures(source, fitted, out, look)


def _own_figures(source: Source, fitted: RegimeMap, out: Path, style: base.Style) -> dict[str, Path]:
    """Draw the figures of one's own, those that the sweep keeps among them; last, since they may fail."""
    if source.path is not None and (source.path / "components").is_dir():
        use_folder(source.path / "components")
    return own.draw_own(fitted, out, style)


def _key(name: str, suffix: str) -> str:
    """Return the name of a file among the returned paths: "png" for map.png, "laws_png" for map-laws.png."""
    return suffix if name == "map" else f"{name.removeprefix('map-')}_{suffix}"


def _at_level(table: pd.DataFrame, one: RegimeMap) -> pd.DataFrame:
    """Return a table with the columns of a map's level before its own."""
    return pd.concat([pd.DataFrame(dict(one.fixed), index=table.index), table], axis=1)


def _figures(
    fitted: RegimeMap, survival: Survival, drawn: Drawn, at: Mapping[str, Any] | None
) -> tuple[dict[str, files.Drawing], pd.DataFrame]:
    """Return the map's own figures by file name, and the table of the boundaries that are drawn in them."""
    figures_of_laws = {"map-laws": files.Drawing(laws.draw, survival, survival.caption)} if survival.axes else {}
    if len(fitted.axes) == 1:
        one = profile.info(fitted, at)
        return {"map": files.Drawing(profile.draw, one, one.caption)} | figures_of_laws, boundary_table([])
    info = regime_map.info(fitted, drawn.x, drawn.y, at)
    figures = {
        "map": files.Drawing(regime_map.draw, info, f"{info.title}. {info.caption}"),
        "map-uncertainty": files.Drawing(uncertainty.draw, info, uncertainty.caption(info)),
    }
    boundaries = [(boundary, panel.level) for panel in info.panels for boundary in panel.boundaries]
    return figures | figures_of_laws, boundary_table(boundaries)


def boundary_table(boundaries: Sequence[tuple[Boundary, Mapping[str, str]]]) -> pd.DataFrame:
    """Return all points of boundaries, each with the level it is drawn at, and the values of other axes."""
    parts = [boundary.table().assign(**boundary.at, **level) for boundary, level in boundaries]
    if not parts:
        return pd.DataFrame(columns=["first", "second", "kind", "line"])
    return pd.concat(parts, ignore_index=True)


def define(
    fitted: RegimeMap,
    source: Source,
    out: Path,
    drawn: Drawn,
    style: str = "screen",
    width: str | None = None,
) -> dict[str, Any]:
    """Return what made the map, as plain values: rule, axes, runs, model, versions, code revision and commands."""
    runs = fitted.runs
    seeds = sorted(runs["seed"].unique().tolist()) if "seed" in runs.columns else None
    return {
        "name": source.name,
        **fitted.model_card(),
        "run_seeds": seeds,
        "runs_by_outcome": {str(k) or "unknown": int(v) for k, v in runs["outcome"].value_counts().items()},
        "sweep": dict(source.spec) or None,
        "commands": [*source.command, _command(source, fitted.rule, out, drawn, style, width)],
        "code_revision": code_revision(),
        "environment": versions() | {f"runs: {name}": value for name, value in environment_of(runs)},
    }


def _command(
    source: Source,
    rule: RegimeRule,
    out: Path,
    drawn: Drawn,
    style: str,
    width: str | None,
) -> str:
    parts = [
        "grokmap map",
        shlex.quote(str(source.path or "RUNS.csv")),
        "--out",
        shlex.quote(str(out)),
        rule_options(rule),
    ]
    named = (("column", source.columns), ("axis", source.axes))
    parts += [
        f"--{option} {shlex.quote(f'{name}={value}')}" for option, given in named for name, value in given.items()
    ]
    parts += [f"--{name} {axis}" for name, axis in (("x", drawn.x), ("y", drawn.y)) if axis]
    parts += [f"--at {name}={value:g}" for name, value in drawn.at.items()]
    parts += [f"--style {style}"] if style != "screen" else []
    parts += [f"--width {shlex.quote(width)}"] if width else []
    return " ".join(parts)


def dataset(maps: Mapping[Level, RegimeMap], grids: Mapping[Level, MapGrid]) -> xarray.Dataset:
    """Return the maps of all levels as one xarray Dataset over categories and axes; NaN at a level without runs.

    A map of three axes without categories has the surfaces between its regimes too.
    """
    import xarray

    parts = []
    for level, one in maps.items():
        data = _dataset(one, grids[level])
        parts.append(data.expand_dims({name: [text] for name, text in one.fixed.items()}))
    if len(parts) == 1:
        return parts[0]
    return xarray.merge(parts, join="outer", compat="no_conflicts", combine_attrs="drop_conflicts")


def _dataset(fitted: RegimeMap, values: MapGrid) -> xarray.Dataset:
    import xarray

    names = [axis.name for axis in values.axes]
    shape = values.shape
    regimes = [str(regime) for regime in REGIMES]
    probabilities = values.probabilities[regimes].to_numpy().reshape(*shape, len(regimes))
    variables: dict[str, Any] = {"probability": ([*names, "regime"], probabilities)}
    for table in (values.uncertainty, values.milestones, values.outcomes):
        variables |= {str(name): (names, column.to_numpy().reshape(shape)) for name, column in table.items()}
    coordinates = dict(zip(names, values.grids, strict=True))
    data = xarray.Dataset(variables, coords={**coordinates, "regime": regimes})
    for axis in values.axes:
        data[axis.name].attrs.update(long_name=base.pretty(axis.name), scale=axis.scale)
    data["probability"].attrs["long_name"] = "probability of each regime for a run with a new seed"
    data.attrs.update(rule=fitted.rule.sentence(), runs=len(fitted.runs), model=fitted.weight_sentence)
    return data.merge(_surfaces(values)) if len(names) == 3 and not fitted.fixed else data


def _surfaces(values: MapGrid) -> xarray.Dataset:
    """Return vertices (in axis units) and triangles of the surface between each two regimes that meet in the box."""
    import xarray

    variables: dict[str, Any] = {}
    for first, second in values.neighbours:
        vertices, faces = values.surface(first, second)
        key = f"surface_{first}_{second}"
        variables[f"{key}_vertices"] = ([f"{key}_vertex", "axis"], vertices)
        variables[f"{key}_faces"] = ([f"{key}_face", "corner"], faces.astype(np.int32))
    return xarray.Dataset(variables, coords={"axis": [axis.name for axis in values.axes]} if variables else {})


def write_netcdf(path: Path, data: xarray.Dataset) -> Path:
    """Write a dataset as NetCDF 3, which SciPy alone can write and everything reads, whole or not at all."""
    with replacing(path) as temporary:
        data.to_netcdf(temporary, engine="scipy", format="NETCDF3_64BIT")
    return path
