"""Pair: two transforms in one run, the second given what the first made of the gradient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from grokcore.config.per_run import Settings
from grokcore.optimizers.base import Optimizer
from grokcore.transforms.base import TRANSFORMS, Transform, Weights

if TYPE_CHECKING:
    from torch import Tensor

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Pair(Transform):
    """`first` changes gradient and weights, then `second` does; each is a table with a name, or a bare name.

    For three, let one of them be a pair. ``transform.first.gain`` is the dotted name of a setting of the first.
    """

    first: Transform
    """What comes first."""
    second: Transform
    """What is done to the result."""

    @classmethod
    def from_section(cls, section: Mapping[str, Any], where: str, complaints: list[str]) -> Self | None:
        """Build both members from their own tables; see `Component.from_section`."""
        built, before = dict(section), len(complaints)
        for name in ("first", "second"):
            if name in section:
                built[name] = TRANSFORMS.from_section(section[name], f"{where}.{name}", complaints)
        return super().from_section(built, where, complaints) if len(complaints) == before else None

    def to_section(self) -> dict[str, Any]:
        """Return both members' tables."""
        return {name: TRANSFORMS.to_section(member) for name, member in self._members()}

    def complaints(self) -> Iterator[str]:
        """Yield that one of the two does nothing, or that both are the same."""
        names = [TRANSFORMS.name_of(member) for member in self._kinds()]
        if "none" in names:
            yield "first, second: none changes nothing; name the other transform alone."
        if doubled := sorted({name for name in names if names.count(name) > 1} - {"none"}):
            yield f"first, second: {doubled[0]} twice is one transform with other settings; name it once."

    def misfits(self, optimizer: Optimizer) -> Iterator[str]:
        """Yield what either says."""
        for _, member in self._members():
            yield from member.misfits(optimizer)

    def form(self) -> dict[str, object]:
        """Return both members' names and forms."""
        return {name: {"name": TRANSFORMS.name_of(member), **member.form()} for name, member in self._members()}

    def settings(self) -> dict[str, Any]:
        """Return both members' settings, as first.gain and second.keep."""
        return {f"{name}.{key}": value for name, member in self._members() for key, value in member.settings().items()}

    def state(self, flat: Tensor) -> dict[str, Tensor]:
        """Return what both remember, under first. and second."""
        return {f"{name}.{key}": value for name, member in self._members() for key, value in member.state(flat).items()}

    def coefficients(self, settings: Settings, steps: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
        """Return both members' coefficients, under first. and second."""
        return {
            f"{name}.{key}": values
            for name, member in self._members()
            for key, values in member.coefficients(_own(settings, name), steps).items()
        }

    def look(self, state: Mapping[str, Tensor], run: int, accuracy: float) -> None:
        """Let both note it."""
        for name, member in self._members():
            member.look(_own(state, name), run, accuracy)

    def change_gradient(self, weights: Weights, at: Mapping[str, Tensor]) -> None:
        """Let both change the gradient, in order."""
        for name, member in self._members():
            member.change_gradient(replace(weights, state=_own(weights.state, name)), _own(at, name))

    def change_weights(self, weights: Weights) -> None:
        """Let both change the weights, in order."""
        for name, member in self._members():
            member.change_weights(replace(weights, state=_own(weights.state, name)))

    def _members(self) -> tuple[tuple[str, Transform], ...]:
        return ("first", self.first), ("second", self.second)

    def _kinds(self) -> Iterator[Transform]:
        """Yield all members, those of pairs within included, pairs themselves not."""
        for _, member in self._members():
            if isinstance(member, Pair):
                yield from member._kinds()
            else:
                yield member


def _own(values: Mapping[str, Value], name: str) -> dict[str, Value]:
    """Return a member's part of what both have, under its own names."""
    return {key.removeprefix(f"{name}."): value for key, value in values.items() if key.startswith(f"{name}.")}
