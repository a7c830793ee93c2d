"""What MLflow is told of a run, as plain values: its name, times, params, tags and metrics.

- params: the configuration, dotted (``optimizer.decay``);
- tags: ``run_id``, ``sweep``, ``sweep_id``, ``rule``, ``regime``, ``outcome``, ``reason``, ``milestones`` (JSON, named
  as in `runs.parquet`), ``kind`` ("run", or "sweep" for the sweep's own);
- metrics: at most `POINTS` log-spaced points of each curve with the optimizer step as MLflow's step, ``t_mem``,
  ``t_gen``, ``t_mem_event``, ``t_gen_event``, and the numbers that the sweep varied under their dotted names, since
  MLflow compares params as text. Each has two steps at least, for of one alone MLflow draws a bar: what was varied
  stays as it is, and a milestone's time grows from 0 until it is reached. Their timestamp is the step too, so that
  writing twice changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from grokcore.records.run_record import Outcome, RunRecord
from sweeps.spec.space import Choice, Dimension
from sweeps.spec.sweep_spec import SweepSpec

POINTS: Final = 24
"""Points of each curve that are written."""

PARAM_CHARACTERS: Final = 6000
"""Characters that MLflow keeps of a param."""

TAG_CHARACTERS: Final = 8000
"""Characters that MLflow keeps of a tag."""

NAME_CHARACTERS: Final = 250
"""Characters that MLflow keeps of a run's name."""


@dataclass(frozen=True, kw_only=True)
class RunEntry:
    """One finished run as MLflow shows it."""

    run_id: str
    """The run's identity, ours."""
    name: str
    """What it is called in lists."""
    status: str
    """FINISHED or FAILED."""
    start: int | None
    """When its training began, in milliseconds of Unix time; None where no worker looked at a clock."""
    end: int | None
    """When it ended."""
    params: Mapping[str, str]
    """Its configuration."""
    tags: Mapping[str, str]
    """What can be filtered by."""
    metrics: tuple[tuple[str, float, int], ...]
    """(name, value, step)."""


def entry_of(record: RunRecord, spec: SweepSpec, sweep_id: str, map_at: str = "") -> RunEntry:
    """Return what MLflow is told of a run of the sweep, whose map is at that place on its server."""
    flat = record.config.to_flat()
    dimensions = spec.whole_space.dimensions
    start, end = (None, None) if record.trained is None else (round(1000 * moment) for moment in record.trained)
    return RunEntry(
        run_id=record.run_id,
        name=run_name(record, spec, flat, dimensions),
        status="FAILED" if record.outcome is Outcome.FAILED else "FINISHED",
        start=start,
        end=end,
        params={name: _text(value)[:PARAM_CHARACTERS] for name, value in flat.items()},
        tags={name: text[:TAG_CHARACTERS] for name, text in _tags(record, spec, sweep_id, map_at).items()},
        metrics=tuple(_metrics(record, spec, flat, dimensions)),
    )


def run_name(record: RunRecord, spec: SweepSpec, flat: Mapping[str, Any], dimensions: Mapping[str, Dimension]) -> str:
    """Return what a run is called in lists: its regime first, then what was varied."""
    parts = [f"{record.verdict_under(spec.rule)}:"]
    for name, dimension in dimensions.items():
        parts.append(f"{name.rpartition('.')[2]} {_varied(name, dimension, flat)}")
    return " ".join(parts)[:NAME_CHARACTERS]


def _varied(name: str, dimension: Dimension, flat: Mapping[str, Any]) -> str:
    """Return a varied value in words; a table by its member's name, with the settings that tell it from others."""
    if name in flat:
        return _number(flat[name])
    inner = {key.removeprefix(f"{name}."): value for key, value in flat.items() if key.startswith(f"{name}.")}
    member = str(inner.get("name", ""))
    tables = (
        [value for value in dimension.values if isinstance(value, Mapping)] if isinstance(dimension, Choice) else []
    )
    given = dict.fromkeys(key for table in tables if str(table.get("name", "")) == member for key in table)
    settings = [f"{key} {_number(inner[key])}" for key in given if key != "name" and key in inner]
    return f"{member} ({', '.join(settings)})".strip() if settings else member or "none"


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list) else str(value)


def _tags(record: RunRecord, spec: SweepSpec, sweep_id: str, map_at: str) -> dict[str, str]:
    row = record.row(spec.rule)
    milestones = {name: value for name, value in row.items() if name.startswith("t_")}
    tags = {
        "run_id": record.run_id,
        "kind": "run",
        "sweep": spec.name,
        "sweep_id": sweep_id,
        "rule": spec.rule.sentence(),
        "regime": str(row["regime"]),
        "outcome": str(row["outcome"]),
        "milestones": json.dumps(milestones),
        "mlflow.note.content": f"{row['regime']}: {record.outcome.sentence}"
        + (f"\n\n[The sweep, with its map under Artifacts]({map_at})" if map_at else ""),
    }
    if record.ruled_out:
        tags |= {"ruled_out": str(record.ruled_out), "ruled_out_accuracy": f"{record.ruled_out_accuracy:g}"}
    return {**tags, "reason": record.reason} if record.reason else tags


def _metrics(
    record: RunRecord, spec: SweepSpec, flat: Mapping[str, Any], dimensions: Mapping[str, Dimension]
) -> list[tuple[str, float, int]]:
    steps, threshold = record.columns["step"], spec.rule.threshold
    ends = dict.fromkeys([0, *map(int, steps[-1:])])
    metrics = [(name, float(flat[name]), step) for name in dimensions if _is_number(flat.get(name)) for step in ends]
    if len(steps):
        for name, split in (("t_mem", "train"), ("t_gen", "val")):
            milestone = record.milestone(split, threshold)  # type: ignore[arg-type]
            if milestone.step:
                metrics += [(name, 0.0, 0), (f"{name}_event", 0.0, 0)]
            metrics.append((name, float(milestone.step), milestone.step))
            metrics.append((f"{name}_event", float(milestone.event), milestone.step))
    for name, values in record.columns.items():
        if name != "step":
            metrics += [(name, float(values[i]), int(steps[i])) for i in thinned(steps, values)]
    return metrics


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def thinned(steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return indices of at most `POINTS` finite values, evenly spread over log steps, the first and last among them."""
    finite = np.flatnonzero(np.isfinite(values))
    if len(finite) <= POINTS:
        return finite
    marks = np.log10(steps[finite] + 1.0)
    wanted = np.linspace(marks[0], marks[-1], POINTS)
    nearest = np.abs(marks[None, :] - wanted[:, None]).argmin(axis=1)
    return np.asarray(finite[np.unique(nearest)])
