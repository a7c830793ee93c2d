"""RunConfig: one training run, completely described; equal configurations give bit-equal runs and equal `run_id`."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Gt, Lt

from grokcore.config.component import Component, check_fields
from grokcore.config.registry import ComponentRegistry
from grokcore.errors import ConfigError, unknown_name
from grokcore.initialisations.base import INITIALISATIONS, Initialisation
from grokcore.initialisations.default import Default
from grokcore.losses.base import LOSSES, Loss
from grokcore.losses.cross_entropy import CrossEntropy
from grokcore.models.base import MODELS, Model
from grokcore.notebook_tables import table_html, words
from grokcore.optimizers.base import OPTIMIZERS, Optimizer
from grokcore.tasks.base import TASKS, Task
from grokcore.transforms.base import TRANSFORMS, Transform
from grokcore.transforms.none import NoTransform

REGISTRIES: dict[str, ComponentRegistry[Any]] = {
    "task": TASKS,
    "model": MODELS,
    "optimizer": OPTIMIZERS,
    "transform": TRANSFORMS,
    "loss": LOSSES,
    "initialisation": INITIALISATIONS,
}
"""The sections of a configuration that name a member of a family."""


@dataclass(frozen=True, kw_only=True)
class RunConfig(Component):
    """One training run: what is learned, by which network, how, on which share of the data, for how long.

    >>> config = RunConfig.from_dict({
    ...     "task": "modular_addition", "task.modulus": 7, "model": "mlp", "optimizer": "adamw",
    ...     "optimizer.decay": 1.0, "fraction": 0.6, "steps": 1000,
    ... })
    >>> config
    <RunConfig 34aa05fb89e1ae52: modular_addition, mlp, adamw, fraction 0.6, 1,000 steps, seed 0>
    >>> config.train_examples, config.optimizer.decay
    (29, 1.0)
    """

    task: Task
    """What is learned: a member of grokcore/tasks/."""
    model: Model
    """Which network learns it: a member of grokcore/models/."""
    optimizer: Optimizer
    """How its weights move: a member of grokcore/optimizers/."""
    fraction: Annotated[float, Gt(0), Lt(1)]
    """Share of the task's examples that is trained on; the rest validates."""
    split: Literal["random", "difference"] = "random"
    """Which examples train: "random" ones, or all pairs of some differences: whole classes of a − b mod p are held out.
    Where operands are added up, (a, b) and (b, a) are one pair of two differences, d and −d."""
    batch: Literal["full"] | Annotated[int, Ge(1)] = "full"
    """Examples per optimizer step: the whole training set, or this many of a fresh permutation each epoch."""
    steps: Annotated[int, Ge(1)]
    """Budget in optimizer steps."""
    transform: Transform = field(default_factory=NoTransform)
    """What is done to gradient or weights beside: a member of grokcore/transforms/."""
    initialisation: Initialisation = field(default_factory=Default)
    """Where the weights begin: a member of grokcore/initialisations/."""
    loss: Loss = field(default_factory=CrossEntropy)
    """What is minimised, as a mean over the batch: a member of grokcore/losses/. "cross_entropy" is exact in any
    precision; the two with a precision in their name are torch's plain softmax after a cast (see docs/numerics.md)."""
    output_scale: Annotated[float, Gt(0)] = 1.0
    """Multiplies the outputs, everywhere: large is lazy, small is rich (Kumar et al. 2023, arXiv 2310.06110)."""
    temperature: Annotated[float, Gt(0)] = 1.0
    """Divides the outputs in the loss that is trained on; losses are reported at temperature 1."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Probability that an activation is dropped in training (where, the model says)."""
    gradient_noise: Annotated[float, Ge(0)] = 0.0
    """Standard deviation of the normal noise added to every element of every gradient."""
    dtype: Literal["float32", "float64", "tf32"] = "float32"
    """Precision of weights and arithmetic; "tf32": float32 whose products are taken in TF32, on a GPU that has it."""
    seed: Annotated[int, Ge(0), Lt(2**53)] = 0
    """Decides the split, the initial weights and the order of batches, each by a generator of its own."""

    def __repr__(self) -> str:
        parts = ", ".join(REGISTRIES[name].name_of(getattr(self, name)) for name in ("task", "model", "optimizer"))
        return f"<RunConfig {self.run_id}: {parts}, fraction {self.fraction:g}, {self.steps:,} steps, seed {self.seed}>"

    def _repr_html_(self) -> str:
        return table_html(f"RunConfig {self.run_id}", [(name, words(value)) for name, value in self.to_dict().items()])

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a configuration from nested names, or from dotted ones (``"optimizer.decay"``), or a mix.

        Raises `ConfigError` with every complaint at once.
        """
        try:
            nested = nest(values)
        except RecursionError:
            raise ConfigError(["a configuration is nested too deeply; its sections go three levels down."]) from None
        complaints: list[str] = []
        own = {field.name for field in fields(cls)}
        complaints += [unknown_name("field", name, own) for name in nested if name not in own]
        parts: dict[str, Any] = {}
        for name, family in REGISTRIES.items():
            if name in nested:
                section = nested[name]
                if name in OPTIONAL and isinstance(section, Mapping):
                    section = {"name": OPTIONAL[name], **section}
                if name == "model":
                    section = _suited(section, parts.get("task"))
                parts[name] = family.from_section(section, name, complaints)
            elif name not in OPTIONAL:
                complaints.append(f"{name} is missing. Known: {', '.join(family.names)}.")
        scalars = {name: value for name, value in nested.items() if name in own and name not in REGISTRIES}
        if complaints:
            # Name what is wrong with the plain fields too, so that one error is enough.
            complaints += check_fields(cls, scalars)
            if (task := parts.get("task")) is not None:
                given = scalars.get("fraction"), scalars.get("batch", "full"), scalars.get("split", "random")
                complaints += _split_complaints(task, *given)
            raise ConfigError(dict.fromkeys(complaints))
        missing = [f"{name} is missing." for name in ("fraction", "steps") if name not in scalars]
        if missing:
            raise ConfigError([*missing, *check_fields(cls, scalars)])
        return cls(**parts, **scalars)

    def complaints(self) -> Iterator[str]:
        """Yield what does not fit together: an empty split, a batch beyond it, a model that cannot read the task."""
        yield from _split_complaints(self.task, self.fraction, self.batch, self.split)
        if self.split == "difference" and not pairs_of_all(self.task):
            yield 'split = "difference": is for all pairs of p numbers, as modular_addition has; take "random".'
        yield from self.model.misfits(self.task)
        yield from self.initialisation.misfits(self.model, self.task)
        yield from self.transform.misfits(self.optimizer)
        yield from self.optimizer.misfits(self.model, self.task)
        yield from self.loss.misfits(self.model, self.dtype)
        if self.dropout and not self.model.hidden_layers:
            yield f"dropout = {self.dropout:g}: the model names no place where activations could be dropped."
        if not self.loss.SOFTMAX and self.temperature != 1:
            name = LOSSES.name_of(self.loss)
            yield f'temperature = {self.temperature:g}: is for a softmax, not for loss = "{name}"; leave it out.'

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain values from which `from_dict` builds an equal one; a random split is left out."""
        return {name: dict(part) if name in REGISTRIES else part for name, part in self._values.items()}

    @functools.cached_property
    def _values(self) -> dict[str, Any]:
        """The same, made once: a driver asks for it several times a run."""
        values = self.to_section()
        if self.split == "random":
            del values["split"]
        return {
            name: REGISTRIES[name].to_section(part) if name in REGISTRIES else part for name, part in values.items()
        }

    def to_flat(self) -> dict[str, Any]:
        """Return the same with dotted names, as run tables hold them (``optimizer.decay``)."""
        return flatten(self.to_dict())

    @functools.cached_property
    def run_id(self) -> str:
        """Return 16 hexadecimal digits that depend on every field and on nothing else."""
        text = json.dumps(self._values, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def train_examples(self) -> int:
        """Return the number of training examples, round(fraction · N); a multiple of p where differences train."""
        return trained_on(self.task, self.fraction, self.split)


OPTIONAL = {"transform": "none", "initialisation": "default", "loss": "cross_entropy"}
"""Sections that may be left out, or given without a name, and the member that is then meant."""


def _suited(section: object, task: Task | None) -> object:
    """Return the section of a model with what the task asks for where nothing is said; anything else as it is."""
    named = {"name": section} if isinstance(section, str) else section
    if not isinstance(named, Mapping) or named.get("name") not in MODELS.names:
        return section
    return MODELS.member(named["name"]).suited(named, task)


def pairs_of_all(task: Task) -> bool:
    """Say whether a task's examples are all ordered pairs of p numbers."""
    return task.examples == getattr(task, "modulus", 0) ** 2


def trained_on(task: Task, fraction: float, split: object) -> int:
    """Return how many examples train."""
    if split == "difference" and pairs_of_all(task):
        symbols = math.isqrt(task.examples)
        return round(fraction * symbols) * symbols
    return round(fraction * task.examples)


def _split_complaints(task: Task, fraction: object, batch: object, split: object) -> Iterator[str]:
    if not isinstance(fraction, (int, float)) or not 0 < fraction < 1:
        return
    train = trained_on(task, fraction, split)
    if split == "difference" and not 0 < train < task.examples:
        yield f'fraction = {fraction}: with split = "difference" leaves no whole difference on one of the sides.'
    elif train < 1:
        least = 1 / task.examples
        yield f"fraction = {fraction}: leaves no training example of {task.examples}; take at least {least:.3g}."
    elif train >= task.examples:
        most = math.floor(1e6 * (task.examples - 1) / task.examples) / 1e6
        yield f"fraction = {fraction}: leaves no validation example of {task.examples}; take at most {most:.6f}."
    elif isinstance(batch, int) and batch > train:
        yield f'batch = {batch}: is more than the {train} training examples; take at most {train}, or "full".'


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn dotted names into nested ones: ``{"optimizer.decay": 1}`` becomes ``{"optimizer": {"decay": 1}}``."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        _put(nested, str(key), str(key).split("."), nest(value) if isinstance(value, Mapping) else value)
    return nested


def _put(table: dict[str, Any], key: str, path: list[str], value: Any) -> None:
    """Put a value where a path leads, into what is there already; a member's bare name is its table's name."""
    head, *rest = path
    there = table.get(head)
    if (rest or isinstance(value, dict)) and isinstance(there, str):
        there = table[head] = {"name": there}
    if rest:
        there = table.setdefault(head, {})
        if not isinstance(there, dict):
            raise ConfigError([f"{key}: {head} is {there!r}, not a table."])
        _put(there, key, rest, value)
    elif isinstance(value, dict) and isinstance(there, dict):
        for name, inner in value.items():
            _put(there, f"{key}.{name}", [name], inner)
    elif isinstance(value, str) and isinstance(there, dict):
        there["name"] = value
    else:
        table[head] = value


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested names into dotted ones; the inverse of `nest`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
