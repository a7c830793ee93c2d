"""Why a sweep ends before the runs of its specification are there: its goal is reached, or its space has no more."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from grokcore.atomic_files import write_text

if TYPE_CHECKING:
    from sweeps.spec.sweep_spec import SweepSpec

REACHED: Final = "until.json"
"""File of a sweep's folder that says when its goal was reached."""

EXHAUSTED: Final = "exhausted.json"
"""File that says that every point of its space, or all that its sampler could choose, was chosen."""


class EarlyEnd(NamedTuple):
    """How many runs a sweep had when it ended early, and why, in a sentence; empty where it did not."""

    runs: int
    said: str


def write_end(folder: Path, file: str, spec: SweepSpec, runs: int, said: str) -> None:
    """Write down in `file` that the sweep in a folder ends with so many runs."""
    write_text(folder / file, json.dumps(_cause(file, spec) | {"runs": runs, "said": said}) + "\n")


def read_end(folder: Path, file: str, spec: SweepSpec) -> EarlyEnd:
    """Return what `file` says of a sweep; the runs of its specification if it says it of another goal or space."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads((folder / file).read_text(encoding="utf-8"))
        cause = _cause(file, spec)
        if any(cause.values()) and cause.items() <= found.items():
            return EarlyEnd(int(found["runs"]), str(found["said"]))
    return EarlyEnd(spec.runs, "")


def runs_wanted(folder: Path, spec: SweepSpec) -> int:
    """Return how many runs the sweep in a folder wants."""
    return min(spec.runs, *(read_end(folder, file, spec).runs for file in (REACHED, EXHAUSTED)))


def _cause(file: str, spec: SweepSpec) -> dict[str, Any]:
    """Return what of a specification an early end holds for."""
    if file == REACHED:
        return {"until": spec.until}
    plain = json.loads(json.dumps(spec.to_dict()))
    return {"spec": {name: value for name, value in plain.items() if name not in ("until", "components")}}
