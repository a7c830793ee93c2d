"""The page of one run: one HTML file with everything inside, and its figure as PNG, SVG and PDF beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures import base, run_curves, run_inspection
from analysis.figures.base import REGIME_COLOURS, number, pretty
from analysis.statistics.assembly import assembly_order
from grokcore.atomic_files import write_text
from grokcore.inspection.inspection import Inspection
from grokcore.records.regimes import RegimeRule
from grokcore.records.run_record import RunRecord


def write_run_page(
    record: RunRecord,
    inspection: Inspection | None,
    out: Path,
    rule: RegimeRule | None = None,
    *,
    skipped: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    style: str = "screen",
) -> dict[str, Path]:
    """Write RUN_ID.{html,png,svg,pdf} to `out` and return the paths; without an inspection the curves alone are drawn.

    `skipped` are measures that were not taken, each with its reason; `notes` are shown on top of the page.
    """
    look = base.style_named(style)
    curves = run_curves.of_record(record, rule)
    if inspection is None:
        figure = run_curves.draw(curves, look)
    else:
        figure = run_inspection.draw(run_inspection.info(record, inspection, rule), look)
    paths = {suffix: out / f"{record.run_id}.{suffix}" for suffix in ("png", "svg", "pdf")}
    base.save(figure, list(paths.values()), look)
    drawn = base.svg(figure, look).encode()
    page = _page(record, curves, inspection, drawn, dict(skipped or {}), list(notes))
    return {**paths, "html": write_text(out / f"{record.run_id}.html", page)}


def _page(
    record: RunRecord,
    curves: run_curves.RunCurves,
    inspection: Inspection | None,
    figure: bytes,
    skipped: dict[str, str],
    notes: list[str],
) -> str:
    import jinja2
    import markupsafe

    templates = resources.files("analysis.pages") / "templates"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    steps, values = _values(inspection)
    return environment.from_string((templates / "run.html").read_text(encoding="utf-8")).render(
        css=markupsafe.Markup((templates / "page.css").read_text(encoding="utf-8")),
        title=curves.title,
        run_id=record.run_id,
        details=curves.details,
        regime=curves.regime,
        colour=REGIME_COLOURS[curves.regime],
        sentence=run_curves.ending(curves),
        notes=notes,
        alt=f"Curves and measures of run {record.run_id}",
        figure=base64.b64encode(figure).decode(),
        columns=[f"{step:,}" for step in steps],
        values=values,
        config=[(name, _plain(value)) for name, value in record.config.to_flat().items()],
        environment=[(name, _plain(value)) for name, value in record.environment.items()],
        skipped=sorted(skipped.items()),
        commands=_commands(record),
    )


def _values(inspection: Inspection | None) -> tuple[list[int], list[dict[str, Any]]]:
    """Return the steps and rows of the table of numbers: at the beginning, before generalisation, and at the end."""
    if inspection is None:
        return [], []
    table = inspection.measures
    steps = list(dict.fromkeys([int(table["step"].iloc[0]), inspection.before, inspection.after]))
    order = assembly_order(table).set_index("measure")["half"]
    rows = []
    for name in table.columns.drop("step"):
        cells = [_cell(table.loc[table["step"] == step, name]) for step in steps]
        half = f"{order[name]:,.0f}" if name in order.index else ""
        rows.append({"name": pretty(str(name)), "cells": cells, "half": half})
    return steps, rows


def _cell(values: pd.Series) -> str:
    known = values.dropna()
    return number(float(known.iloc[0])) if len(known) and np.isfinite(known.iloc[0]) else ""


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (list, dict)) else str(value)


def _commands(record: RunRecord) -> list[str]:
    from grokcore.run_config import flatten

    words = [f"{name}={_plain(value)}".replace(" ", "") for name, value in flatten(record.config.to_dict()).items()]
    quoted = [f"'{word}'" if "[" in word else word for word in words if not word.endswith("=None")]
    return [" ".join(["grokmap run --keep-weights", *quoted]), f"grokmap show {record.run_id}"]
