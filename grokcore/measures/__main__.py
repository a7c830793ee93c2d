"""The table of measures in docs/measures.md, from their docstrings: ``python -m grokcore.measures``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

from grokcore.errors import ConfigError
from grokcore.measures.base import Measure, measures
from grokcore.models.base import Model
from grokcore.run_config import RunConfig
from grokcore.tasks.base import Task

NEEDS = {
    "weights": "weights",
    "keys": "final key frequencies",
    "update": "optimizer state",
    "hessian": "Hessian products",
}

TASKS = (
    {"name": "modular_addition", "modulus": 7},
    {"name": "modular_squares", "modulus": 7},
    {"name": "group_composition", "group": "S3"},
    {"name": "parity", "bits": 6, "relevant": 2, "samples": 60},
    {"name": "toy_addition"},
)
MODELS = (
    {"name": "mlp"},
    {"name": "mlp", "combine": "concat"},
    {"name": "transformer"},
    {"name": "quadratic_mlp"},
    {"name": "decoder"},
)
"""One of each kind of task and network, to be asked where a measure is not defined."""


def kinds() -> Iterator[tuple[Task, Model]]:
    """Yield the pairs of `TASKS` and `MODELS` that go together."""
    for task in TASKS:
        for model in MODELS:
            run = {"task": task, "model": model, "optimizer": {"name": "adamw"}, "fraction": 0.5, "steps": 1}
            for loss in ("cross_entropy", "mse"):
                try:
                    config = RunConfig.from_dict({**run, "loss": loss})
                except ConfigError:
                    continue
                yield config.task, config.model


def left_out(measure: Measure, pairs: list[tuple[Task, Model]]) -> str:
    """Return the reasons why a measure is not defined on some tasks and networks."""
    reasons = [reason for task, model in pairs if (reason := measure.undefined(task, model)) is not None]
    return "; ".join(dict.fromkeys(reasons)) or "nowhere"


def page() -> str:
    """Return a row for each measure: name, set, needs, first sentence of its definition, where it is not defined."""
    pairs = list(kinds())
    lines = ["| measure | set | needs | definition | left out where |", "|---|---|---|---|---|"]
    for name, measure in measures().items():
        needs = ", ".join(NEEDS.get(need, need) for need in sorted(measure.needs))
        first = (inspect.getdoc(type(measure)) or "").partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
        columns = ", ".join(f"`{column}`" for column in measure.numbers)
        gives = f" Gives {columns}." if columns else ""
        lines.append(f"| `{name}` | {measure.cost} | {needs} | {first}{gives} | {left_out(measure, pairs)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
