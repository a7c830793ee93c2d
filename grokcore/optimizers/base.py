"""Optimizer: a rule that moves the flat parameter vectors of K runs, each run with its own settings.

Shapes: K runs, L elements of a run's flat vector, T steps of a stretch between two evaluations.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le

from grokcore.config.per_run import PerRun, Settings
from grokcore.config.registry import ComponentRegistry
from grokcore.lazy_torch import torch
from grokcore.models.base import Model
from grokcore.numerics.flat_parameters import FlatParameters
from grokcore.numerics.vectors import VECTOR
from grokcore.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor

Schedule = Literal["constant", "cosine", "step"]
"""How a number changes with the update s = 0, 1, …: not; along half a cosine; by a factor every so many steps."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ParameterGroup:
    """A stretch of the flat vector that one rule moves with one set of settings."""

    rule: type[Optimizer]
    """Whose `coefficients` and `update` are used."""
    settings: Settings
    """With which settings, (K,) each."""
    elements: slice
    """Which elements of the flat vector."""
    shape: tuple[int, ...] | None = None
    """How a run's elements are presented to the rule; None: as a flat vector."""
    transposed: bool = False
    """Whether a matrix is presented the other way round: the rule sees (inputs, outputs)."""


@dataclass(frozen=True, kw_only=True)
class Optimizer(PerRun, abc.ABC):
    """How weights move. Every numeric field and every schedule may differ between the runs of a cohort.

    A member turns its settings into `coefficients` for a stretch of steps at once, in float64, and uses them in
    `update`, so that a step costs nothing but arithmetic on the flat vectors.
    """

    SHARED: ClassVar[frozenset[str]] = frozenset({"decay_to"})

    rate: Annotated[float, Ge(0)] = 1e-3
    """Learning rate, after warm-up."""
    decay: Annotated[float, Ge(0)] = 0.0
    """Weight decay."""
    warmup: Annotated[int, Ge(0)] = 0
    """Steps over which the rate grows linearly: update number s = 0, 1, … uses rate · min(s / warmup, 1)."""
    schedule: Schedule = "constant"
    """What becomes of the rate after that; counted from the first update, and multiplied with the warm-up."""
    schedule_steps: Annotated[int, Ge(0)] = 0
    """Updates until a cosine has reached its end (where it stays), or between two steps."""
    schedule_factor: Annotated[float, Ge(0), Le(1)] = 0.1
    """Share of the rate that is left at the end of a cosine, or after each step."""
    decay_schedule: Schedule = "constant"
    """What becomes of the decay, likewise."""
    decay_steps: Annotated[int, Ge(0)] = 0
    """As `schedule_steps`, for the decay."""
    decay_factor: Annotated[float, Ge(0), Le(1)] = 0.1
    """As `schedule_factor`, for the decay."""
    decay_to: Literal["zero", "initialisation"] = "zero"
    """Where decay pulls the weights: to zero, or back to where they began."""
    embedding_rate: Annotated[float, Gt(0)] | None = None
    """Rate of the embedding; that of the other weights if not given (Liu et al. give it one of its own)."""
    embedding_decay: Annotated[float, Ge(0)] | None = None
    """Decay of the embedding; that of the other weights if not given."""

    def complaints(self) -> Iterator[str]:
        """Yield schedules without a length, and lengths without a schedule."""
        for kind, name, length in (
            ("schedule", self.schedule, "schedule_steps"),
            ("decay_schedule", self.decay_schedule, "decay_steps"),
        ):
            steps = getattr(self, length)
            if name != "constant" and steps == 0:
                yield f'{length} = 0: with {kind} = "{name}" say over how many steps; take at least 1.'
            if name == "constant" and steps:
                yield f'{length} = {steps}: has no meaning with {kind} = "constant"; leave it out.'

    def state(self, flat: Tensor) -> dict[str, Tensor]:
        """Return what is remembered from step to step, at the initial weights `flat` (K, L): tensors (K, L)."""
        slots = {name: torch.zeros_like(flat) for name in self.slots()}
        return slots if self.decay_to == "zero" else {**slots, "origin": flat.clone()}

    def misfits(self, model: Model, task: Task) -> Iterator[str]:
        """Yield why it cannot move the model's weights; nothing if it can."""
        given = [name for name in ("embedding_rate", "embedding_decay") if getattr(self, name) is not None]
        if given and "embedding" not in model.shapes(task):
            yield f"optimizer.{given[0]}: the model has no embedding; leave it out."

    @classmethod
    @abc.abstractmethod
    def slots(cls) -> tuple[str, ...]:
        """Return the names of the state vectors, each (K, L), zero at first."""

    @classmethod
    @abc.abstractmethod
    def coefficients(cls, settings: Settings, steps: npt.NDArray[np.int64]) -> dict[str, Floats]:
        """Return what `update` needs at updates number `steps` (T,), counted from 0: arrays (T, K)."""

    @classmethod
    @abc.abstractmethod
    def update(cls, flat: Tensor, gradient: Tensor, state: Mapping[str, Tensor], at: Mapping[str, Tensor]) -> None:
        """Move `flat` (K, L) in place; `gradient` may be overwritten; `at` holds this step's coefficients, (K, 1).

        `state` holds the slots and, where decay pulls to the initial weights, those as "origin".
        """

    @classmethod
    def in_one_pass(cls, flat: Tensor) -> bool:  # noqa: ARG003
        """Say whether `update` reads and writes each element once, so that no pieces need to stay in a cache."""
        return False

    @classmethod
    def parameter_groups(
        cls,
        settings: Settings,
        parameters: FlatParameters,
        hidden: Sequence[str],  # noqa: ARG003
        *,
        outputs_first: bool = False,  # noqa: ARG003
    ) -> list[ParameterGroup]:
        """Return who moves what: one rule for everything, or the embedding apart where it has settings of its own.

        `hidden` are the names of the matrices between what is read in and what is read out, which are (inputs,
        outputs) unless `outputs_first`.
        """
        own = {name: settings[f"embedding_{name}"] for name in ("rate", "decay")}
        if "embedding" not in parameters.shapes or all(np.isnan(value).all() for value in own.values()):
            return [ParameterGroup(cls, settings, slice(0, parameters.length))]
        embedding = parameters.part("embedding")
        given = {name: np.where(np.isnan(value), settings[name], value) for name, value in own.items()}
        others = [slice(0, embedding.start), slice(embedding.stop, parameters.length)]
        groups = [ParameterGroup(cls, settings, other) for other in others if other.start < other.stop]
        return [ParameterGroup(cls, {**settings, **given}, embedding), *groups]


class OptimizerGroup:
    """A parameter group of a cohort, with the tensors that its rule moves, `piece_elements` of all runs at a time."""

    def __init__(
        self,
        group: ParameterGroup,
        flat: Tensor,
        gradient: Tensor,
        state: Mapping[str, Tensor],
        piece_elements: int | None = None,
    ) -> None:
        def view(tensor: Tensor, elements: slice) -> Tensor:
            shaped = tensor[:, elements].unflatten(1, group.shape) if group.shape else tensor[:, elements]
            return shaped.mT if group.transposed else shaped

        names = {*group.rule.slots(), "origin"} & set(state)
        if group.rule.in_one_pass(flat):
            piece_elements = None
        self.group, self.dimensions = group, 2 if group.shape is None else 1 + len(group.shape)
        self.pieces = [
            (view(flat, elements), view(gradient, elements), {name: view(state[name], elements) for name in names})
            for elements in _pieces(group, len(flat), piece_elements)
        ]

    def coefficients(self, steps: npt.NDArray[np.int64]) -> dict[str, Floats]:
        """Return the rule's coefficients at the updates number `steps` (T,): arrays (T, K)."""
        return self.group.rule.coefficients(self.group.settings, steps)

    def move(self, at: Mapping[str, Tensor]) -> None:
        """Take one step."""
        for flat, gradient, state in self.pieces:
            self.group.rule.update(flat, gradient, state, at)


def _pieces(group: ParameterGroup, runs: int, piece_elements: int | None) -> list[slice]:
    """Cut a flat group into pieces that stay in a cache while they are moved, in multiples of the vector length."""
    if group.shape is not None or piece_elements is None:
        return [group.elements]
    size = max(VECTOR, piece_elements // runs // VECTOR * VECTOR)
    starts = range(group.elements.start, group.elements.stop, size)
    return [slice(start, min(start + size, group.elements.stop)) for start in starts]


def scheduled_rate(settings: Settings, steps: npt.NDArray[np.int64]) -> Floats:
    """Return the learning rate (T, K) at updates number `steps`, warm-up and schedule included."""
    warmup = settings["warmup"]
    share = np.minimum(steps[:, None] / np.maximum(warmup, 1), 1.0)
    shape = _shape(settings["schedule"], settings["schedule_steps"], settings["schedule_factor"], steps)
    return np.asarray(np.where(warmup > 0, share, 1.0) * settings["rate"] * shape)


def scheduled_decay(settings: Settings, steps: npt.NDArray[np.int64]) -> Floats:
    """Return the weight decay (T, K) at updates number `steps`."""
    shape = _shape(settings["decay_schedule"], settings["decay_steps"], settings["decay_factor"], steps)
    return np.asarray(settings["decay"] * shape)


def _shape(kind: npt.NDArray[np.str_], length: Floats, factor: Floats, steps: npt.NDArray[np.int64]) -> Floats:
    at = steps[:, None] / np.maximum(length, 1)
    cosine = factor + (1 - factor) * (1 + np.cos(np.pi * np.minimum(at, 1.0))) / 2
    return np.select([kind == "cosine", kind == "step"], [cosine, factor ** np.floor(at)], 1.0)


def decayed_(flat: Tensor, state: Mapping[str, Tensor], keep: Tensor) -> Tensor:
    """Shrink the weights' distance from where decay pulls them by the factor `keep`."""
    if "origin" in state:
        return flat.sub_(state["origin"]).mul_(keep).add_(state["origin"])
    return flat.mul_(keep)


def pulled_(gradient: Tensor, flat: Tensor, state: Mapping[str, Tensor], decay: Tensor) -> Tensor:
    """Add the gradient of decay / 2 · ‖θ − origin‖², as L2 regularisation does."""
    if "origin" in state:
        gradient.addcmul_(state["origin"], decay, value=-1)
    return gradient.addcmul_(flat, decay)


OPTIMIZERS: ComponentRegistry[Optimizer] = ComponentRegistry("grokcore.optimizers", Optimizer, "optimizer")  # type: ignore[type-abstract]
