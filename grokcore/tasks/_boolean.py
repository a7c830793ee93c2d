"""What the Boolean functions have in common: a fixed sample of distinct bit strings, and two classes."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from grokcore.tasks.base import Ints, Symmetry, Table, Task

Bits = Annotated[int, Ge(1), Le(62)]
"""Number of bits of each string; 62 at most, so that a string is an integer of the machine."""


@dataclass(frozen=True, kw_only=True)
class BooleanTask(Task, abc.ABC):
    """A function of bit strings, on a sample of them; one token, 0 or 1, per position."""

    bits: Bits
    """Length n of the strings; Merrill et al. take 40."""
    samples: Annotated[int, Ge(2), Le(100_000)] = 1100
    """Number of distinct strings drawn, for training and validation together; Merrill et al. take 1,000 + 100."""
    sample_seed: Annotated[int, Ge(0)] = 0
    """Which strings are drawn; the runs of a sweep share them, whatever their own seed."""

    @abc.abstractmethod
    def evaluate(self, inputs: Ints) -> Ints:
        """Return the class, 0 or 1, of each of `inputs`, (N, n) of zeros and ones."""

    def complaints(self) -> Iterator[str]:
        """Yield that there are not so many strings, or that all that were drawn are of one class."""
        if self.samples > 2**self.bits:
            yield (
                f"samples = {self.samples}: only {2**self.bits:,} strings of {self.bits} bits exist; "
                f"take at most {2**self.bits}."
            )
        elif self.chance == 1:
            yield (
                f"samples = {self.samples}: all strings drawn are of class {self.table.targets[0]}, so there is "
                "nothing to learn; take more samples, or a function that is less often constant."
            )

    @property
    def family(self) -> str:
        """Functions of bit strings."""
        return "Boolean functions"

    @property
    def examples(self) -> int:
        """The number of samples."""
        return self.samples

    def build(self) -> Table:
        """Draw the strings, without repetition, and evaluate the function on them."""
        drawn = np.random.default_rng(self.sample_seed).choice(2**self.bits, size=self.samples, replace=False)
        inputs = (drawn[:, None] >> np.arange(self.bits)) & 1
        return Table(inputs=inputs, targets=self.evaluate(inputs), symbols=2, classes=2)

    def label(self, inputs: Ints) -> Ints:
        """Return the class of each of `inputs`, (..., n), whether in the sample or not."""
        return self.evaluate(inputs.reshape(-1, self.bits)).reshape(inputs.shape[:-1])

    def flip(self, *positions: int, classes: bool = False) -> Symmetry:
        """Return the symmetry that negates the bits at `positions`, and the class too if asked."""
        tokens = np.tile(np.arange(2), (self.bits, 1))
        tokens[list(positions)] = [1, 0]
        named = ", ".join(f"¬b{i}" for i in positions) if len(positions) < self.bits else "¬b"
        return Symmetry(
            name=named, tokens=tokens, classes=np.array([1, 0] if classes else [0, 1]), order=tuple(range(self.bits))
        )

    def exchanges(self, *alike: int) -> list[Symmetry]:
        """Return the symmetries that exchange neighbours in a list of positions the function does not tell apart."""
        found = []
        for i, j in itertools.pairwise(alike):
            order = list(range(self.bits))
            order[i], order[j] = j, i
            tokens = np.tile(np.arange(2), (self.bits, 1))
            found.append(Symmetry(name=f"b{i} ↔ b{j}", tokens=tokens, classes=np.arange(2), order=tuple(order)))
        return found


@dataclass(frozen=True, kw_only=True)
class SparseTask(BooleanTask, abc.ABC):
    """A function of the first k bits that does not tell them apart; the others do not matter."""

    relevant: Annotated[int, Ge(1)] = 3
    """Number k of bits that the class depends on, the first ones; Merrill et al. take 3."""

    def complaints(self) -> Iterator[str]:
        """Yield that more bits are relevant than there are."""
        if self.relevant > self.bits:
            yield f"relevant = {self.relevant}: is more than the {self.bits} bits there are; take at most {self.bits}."
        else:
            yield from super().complaints()

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """Exchanges among the relevant bits and among the others, and negation of one that does not matter."""
        idle = range(self.relevant, self.bits)
        flips = [self.flip(self.relevant)] if idle else []
        return (*self.exchanges(*range(self.relevant)), *self.exchanges(*idle), *flips)
