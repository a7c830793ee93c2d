"""Measure: numbers per run and checkpoint, computed for all runs of a cohort at once; and the sets they come in.

A run's values do not depend, to the last bit, on the runs beside it: a stacked product is one product per run; no sum
runs over a stacked axis; functions other than +, −, ×, ÷, √ are taken by `elementwise`, whose rounding does not depend
on how many elements are stacked; the number of examples is a multiple of the vector length, so that functions of all of
them are safe. What looks at more than weights is measured in groups of runs that fit into a processor's cache.

Shapes: K runs, D distinct examples (padded), N rows of the task's table, S symbols, C classes.
"""

from __future__ import annotations

import abc
import functools
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from grokcore.config.registry import Registry
from grokcore.errors import ConfigError, unknown_name
from grokcore.models.base import Model, no_embedding, no_places
from grokcore.tasks.base import Task
from grokcore.views.view import View

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger("grokcore.measures")

Cost = Literal["light", "full", "circuit"]
"""What a measure may cost: light, at most a hundredth of the training; full, about a training step; circuit, more."""

SETS: dict[str, tuple[Cost, ...]] = {
    "none": (),
    "light": ("light",),
    "full": ("light", "full"),
    "circuit": ("light", "full", "circuit"),
}
"""Names of the sets, each with all that is cheaper: `light` at most 5 % of a sweep's time, `full` at most 50 %."""

Need = Literal["weights", "embedding", "activations", "logits", "gradients", "hessian", "update", "keys"]
"""What a measure looks at. `update` is there while training only, `keys` on weight snapshots only."""

WHOLE: frozenset[Need] = frozenset({"weights", "embedding", "gradients", "update"})
"""What is looked at for all runs of a cohort at once; the rest is larger."""

MeasureChoice = str | Sequence[str]
"""A set, a measure, several of them with commas between, or a list of such names."""


Limit = Callable[[Task, Model], str | None]
"""Says why something is not defined for a network on a task, or None where it is."""


def _no_logits(task: Task, model: Model) -> str | None:  # noqa: ARG001
    return "outputs are no logits" if model.regresses else None


_LIMITS: dict[Need, Limit] = {
    "activations": no_places,
    "embedding": no_embedding,
    "keys": no_embedding,
    "logits": _no_logits,
}


class Measure(abc.ABC):
    """One measure; its name is its file's, and its docstring its definition."""

    cost: ClassVar[Cost]
    """The cheapest set it belongs to."""
    needs: ClassVar[frozenset[Need]] = frozenset({"weights"})
    """What it looks at."""

    limits: ClassVar[tuple[Limit, ...]] = ()
    """Where it is defined: each says why it is not."""
    numbers: ClassVar[tuple[str, ...]] = ()
    """Names of its numbers where it has several; one is named as the measure."""

    @property
    def name(self) -> str:
        """Return the name of the measure's file."""
        return type(self).__module__.rpartition(".")[2]

    def undefined(self, task: Task, model: Model) -> str | None:
        """Return why the measure is not defined here, or None if it is."""
        limits = [*self.limits, *(_LIMITS[need] for need in sorted(self.needs) if need in _LIMITS)]
        return next((reason for limit in limits if (reason := limit(task, model)) is not None), None)

    def columns(self, task: Task, model: Model) -> tuple[str, ...]:  # noqa: ARG002
        """Return the names of its numbers on a task."""
        return self.numbers or (self.name,)

    @abc.abstractmethod
    def compute(self, view: View) -> Tensor:
        """Return the values for every run, (K,), or (K, columns) where there are several."""


MEASURES: Registry[Measure] = Registry("grokcore.measures", Measure, "measure")  # type: ignore[type-abstract]


def measures() -> dict[str, Measure]:
    """Return all measures by name."""
    return _measures(MEASURES.names)


@functools.lru_cache(maxsize=4)
def _measures(names: tuple[str, ...]) -> dict[str, Measure]:
    return {name: MEASURES.member(name)() for name in names}


def chosen_measures(choice: MeasureChoice) -> dict[str, Measure]:
    """Return the measures that `choice` names; raises `ConfigError` for a name that is neither set nor measure."""
    words = choice.split(",") if isinstance(choice, str) else list(choice)
    found, unknown = set[str](), []
    for word in (str(word).strip() for word in words):
        if word in SETS:
            found |= {name for name, measure in measures().items() if measure.cost in SETS[word]}
        elif word in measures():
            found.add(word)
        else:
            unknown.append(f"measures: {unknown_name('measure', word, [*SETS, *measures()])}")
    if unknown:
        raise ConfigError(unknown)
    return {name: measure for name, measure in measures().items() if name in found}


def skipped_measures(
    choice: MeasureChoice, task: Task, model: Model, lacking: frozenset[Need] = frozenset()
) -> dict[str, str]:
    """Return the measures of `choice` that cannot be taken, each with its reason; `lacking` is what there is not."""
    reasons: dict[str, str] = {}
    for name, measure in chosen_measures(choice).items():
        reason = measure.undefined(task, model)
        if reason is None and (missing := measure.needs & lacking):
            reason = f"needs {', '.join(sorted(_MISSING[need] for need in missing))}"
        if reason is not None:
            reasons[name] = reason
    return reasons


_MISSING: dict[Need, str] = {
    "keys": "the key frequencies the run will end with, so that it is taken on weight snapshots only (grokmap measure)",
    "update": "the optimizer's state, which weight snapshots do not hold; take it while training",
}


def defined_measures(
    task: Task, model: Model, choice: MeasureChoice = "light", lacking: frozenset[Need] = frozenset({"keys"})
) -> dict[str, Measure]:
    """Return the measures of `choice` that are defined for `model` on `task`; say once why others are not."""
    reasons = skipped_measures(choice, task, model, lacking)
    for name, reason in reasons.items():
        _say_once(f"{name} is not measured: {reason}", asked=name in choice)
    return {name: measure for name, measure in chosen_measures(choice).items() if name not in reasons}


def columns_of(found: Mapping[str, Measure], task: Task, model: Model) -> tuple[str, ...]:
    """Return the names of all numbers that these measures give."""
    return tuple(column for measure in found.values() for column in measure.columns(task, model))


def take(found: Mapping[str, Measure], view: View) -> list[dict[str, float]]:
    """Return each run's values by column; to be called on one thread, as cohorts do, for the same bits in any company.

    What cannot be computed or is not finite is absent, for that run alone.
    """
    rows: list[dict[str, float]] = [{} for _ in range(view.runs)]
    for name, measure in found.items():
        columns = measure.columns(view.task, view.model)
        parts = [view] if measure.needs <= WHOLE else view.groups
        found_values = [values for part in parts for values in _values(name, measure, part)]
        for row, values in zip(rows, found_values, strict=True):
            row |= {column: value for column, value in zip(columns, values, strict=False) if math.isfinite(value)}
    return rows


def _values(name: str, measure: Measure, view: View) -> list[list[float]]:
    """Return the numbers of every run, computed together; one by one where that fails, and none where that does."""
    try:
        values = measure.compute(view)
        return (values.unsqueeze(1) if values.dim() == 1 else values).tolist()
    except Exception as error:  # a measure, whatever happens to it, must not end the training of a cohort
        if view.runs > 1:
            return [_values(name, measure, view.only(k))[0] for k in range(view.runs)]
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        _say_once(f"{name} could not be measured for a run: {reason}", asked=True)
        return [[]]


@functools.lru_cache(maxsize=1024)
def _say_once(text: str, *, asked: bool) -> None:
    logger.log(logging.WARNING if asked else logging.INFO, "%s", text)
