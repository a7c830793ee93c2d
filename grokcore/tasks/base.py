"""Task: a finite table of inputs and targets, with what is known about its structure."""

from __future__ import annotations

import abc
import functools
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le, Lt

from grokcore.algebra.groups import Group
from grokcore.config.component import Component
from grokcore.config.registry import ComponentRegistry
from grokcore.errors import DataError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MODULUS_LIMIT = 1024
"""Largest modulus whose full table (p² rows) is built."""

Modulus = Annotated[int, Ge(2), Le(MODULUS_LIMIT)]
"""Modulus p of the integers a task computes with; p² examples, hence the upper limit."""


@dataclass(frozen=True)
class Table:
    """Every example of a task: N rows of token positions and one target class each."""

    inputs: npt.NDArray[np.int64]
    """(N, positions), tokens in [0, symbols)."""
    targets: npt.NDArray[np.int64]
    """(N,), classes in [0, classes)."""
    symbols: int
    """Size of the input vocabulary, one and the same at every position."""
    classes: int
    """Number of target classes."""
    templates: Floats | None = None
    """(classes, d): the vector to regress to for each class, and the nearest is the answer; None: one-hot rows."""

    def __post_init__(self) -> None:
        self._check()
        for name in ("inputs", "targets"):  # the engine reads them as numbers of 64 bits
            object.__setattr__(self, name, getattr(self, name).astype(np.int64, copy=False))
        self.inputs.setflags(write=False)
        self.targets.setflags(write=False)
        if self.templates is not None:
            self.templates.setflags(write=False)

    def _check(self) -> None:
        """Raise `DataError` for what the engine, which looks rows up by number, could not use."""
        inputs, targets = self.inputs, self.targets
        if inputs.ndim != 2 or targets.shape != inputs.shape[:1] or not len(targets):
            raise DataError(
                f"a task's table has inputs of shape {inputs.shape} and targets of shape {targets.shape}; "
                "give (N, positions) and (N,), with at least one row."
            )
        for what, values, size in (("inputs", inputs, "symbols"), ("targets", targets, "classes")):
            count = getattr(self, size)
            if not np.issubdtype(values.dtype, np.integer):
                raise DataError(f"a task's table has {what} of type {values.dtype}; give whole numbers.")
            if values.min() < 0 or values.max() >= count:
                raise DataError(
                    f"a task's table has {what} from {values.min()} to {values.max()} and {size} = {count}; "
                    f"they must lie between 0 and {count - 1}."
                )

    def look_up(self, inputs: Ints) -> Ints:
        """Return the targets of `inputs`, (..., positions), with −1 for those that are no row of the table."""
        codes, targets = self._sorted
        wanted = self._codes(inputs)
        at = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
        return np.where(codes[at] == wanted, targets[at], -1)

    @functools.cached_property
    def _sorted(self) -> tuple[Ints, Ints]:
        codes = self._codes(self.inputs)
        order = np.argsort(codes)
        return codes[order], self.targets[order]

    def _codes(self, inputs: Ints) -> Ints:
        return inputs @ self.symbols ** np.arange(inputs.shape[-1], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Symmetry:
    """A relabelling of inputs and classes that maps every example of a task to one that is just as true."""

    name: str
    """What it does, in the task's own letters: "x + 1, y − 1"."""
    tokens: Ints
    """(positions, symbols): the permutation of the tokens at each position."""
    classes: Ints
    """(classes,): the permutation of the classes that goes with it."""
    order: tuple[int, ...]
    """Which old position each new one is read from, before its tokens are permuted."""

    def apply(self, inputs: Ints) -> Ints:
        """Return the images of `inputs`, (..., positions)."""
        return self.tokens[np.arange(len(self.order)), inputs[..., list(self.order)]]


@dataclass(frozen=True)
class Repeats:
    """What repeats in a task's inputs, so that it need not be computed twice."""

    prefixes: tuple[int, ...]
    """Number of distinct beginnings of the input, of one position, two, and so on; the last is the number of rows."""
    commutative: bool
    """Whether exchanging neighbouring positions leaves every target that is defined both ways."""


@dataclass(frozen=True, eq=False)
class GroupStructure:
    """A group whose elements are tokens of a task, so that embeddings can be split by its irreducibles."""

    group: Group
    """The group that the operation follows."""
    tokens: Ints
    """(order,): the token that stands for each element."""


@dataclass(frozen=True, kw_only=True)
class Task(Component, abc.ABC):
    """What is learned. A member says how its table is made; everything else follows from the table."""

    label_noise: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Probability that an example, if it trains, does so with a wrong class; validation sees true labels only."""

    @property
    @abc.abstractmethod
    def examples(self) -> int:
        """Number of rows N of the table, known without building it."""

    @abc.abstractmethod
    def build(self) -> Table:
        """Make the table; rows in a fixed order that depends on the task's own fields alone."""

    @property
    def table(self) -> Table:
        """The table, built once per process and kept."""
        return _table(self)

    @property
    def cyclic(self) -> bool:
        """Whether tokens are residues on which addition mod `symbols` acts, so that Fourier measures are defined."""
        return False

    @property
    def family(self) -> str:
        """Which tasks are learned alike, so that a forecast may learn from one of them about another."""
        return "operations"

    @property
    def structure(self) -> GroupStructure | None:
        """The group that the operation follows, if there is one."""
        return None

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """Relabellings that leave the task as it is; products of them do too, and there may be others."""
        return ()

    @property
    def sharing(self) -> Repeats:
        """What repeats in the inputs, found once per process."""
        return _sharing(self)

    @property
    def chance(self) -> float:
        """Accuracy of the best answer that ignores the input: the share of the largest class in the table."""
        return float(np.bincount(self.table.targets).max() / len(self.table.targets))

    def label(self, inputs: Ints) -> Ints:
        """Return the true class of each of `inputs`, (..., positions), or −1 where the task defines none."""
        return self.table.look_up(inputs)

    def train_targets(self, rows: Ints, seed: int) -> Ints:
        """Return the classes that `rows` of the table are trained on in the run of this `seed`, with label noise.

        Each row's noise depends on the seed and the row alone: a larger fraction trains on the same labels and more,
        and a larger `label_noise` spoils the same labels and more. A spoilt label is uniform over the wrong classes.
        """
        targets = self.table.targets[rows]
        if not self.label_noise:
            return targets
        generator = np.random.default_rng([seed, *b"label noise"])
        spoilt = generator.random(self.examples) < self.label_noise
        shift = generator.integers(1, self.table.classes, size=self.examples)
        return (targets + np.where(spoilt, shift, 0)[rows]) % self.table.classes


@functools.lru_cache(maxsize=64)
def _table(task: Task) -> Table:
    return task.build()


@functools.lru_cache(maxsize=64)
def _sharing(task: Task) -> Repeats:
    table = task.table
    codes = np.zeros(len(table.inputs), dtype=np.int64)
    prefixes = []
    for tokens in table.inputs.T:
        codes = codes * table.symbols + tokens
        prefixes.append(len(np.unique(codes)))
    commutative = True
    for i in range(len(prefixes) - 1):
        exchanged = table.inputs.copy()
        exchanged[:, [i, i + 1]] = exchanged[:, [i + 1, i]]
        labels = task.label(exchanged)
        commutative &= bool(np.all((labels == table.targets) | (labels < 0)))
    return Repeats(prefixes=tuple(prefixes), commutative=commutative)


def pairs(p: int) -> npt.NDArray[np.int64]:
    """Return all ordered pairs (a, b) of residues mod p, a-major: shape (p², 2)."""
    return np.stack(np.divmod(np.arange(p * p, dtype=np.int64), p), axis=1)


TASKS: ComponentRegistry[Task] = ComponentRegistry("grokcore.tasks", Task, "task")  # type: ignore[type-abstract]
