"""Points that nobody asked for yet: what a study knows already, and where else in its space there is something new."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from grokcore.errors import GrokmapError
from sweeps.spec.space import DIGITS

if TYPE_CHECKING:
    from optuna.study import Study

DRAWS: Final = 64
"""Random points that are looked at before those of a finite space are gone through one by one."""

MOST: Final = 10_000_000
"""Points of a finite space beyond which that is not tried."""


class SpaceExhaustedError(GrokmapError):
    """Every point that could be chosen was chosen before; the text says of what."""


class KnownPoints:
    """The points that a study's trials have, finished or not, to the digits that tell runs apart."""

    def __init__(self) -> None:
        self._points: set[tuple[Any, ...]] = set()
        self._seen = 0
        self._open: list[int] = []

    def look(self, study: Study, number: int) -> None:
        """Learn the points of all trials but trial `number`, which is being chosen."""
        trials = study.get_trials(deepcopy=False)
        looked, self._open = [*self._open, *range(self._seen, len(trials))], []
        self._seen = len(trials)
        for other in looked:
            trial = trials[other]
            if other != number and trial.params:
                self._points.add(_key(trial.params))
            elif not trial.state.is_finished():
                self._open.append(other)

    def __contains__(self, params: Mapping[str, Any]) -> bool:
        return _key(params) in self._points


def anywhere(distributions: Mapping[str, BaseDistribution], rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield random points of a space; of a finite one then every point, in random order."""
    for _ in range(DRAWS):
        units = rng.random(len(distributions)).tolist()
        yield {name: from_unit(d, u) for (name, d), u in zip(distributions.items(), units, strict=True)}
    levels = [_levels(distribution) for distribution in distributions.values()]
    finite = [level for level in levels if level is not None]
    size = math.prod(len(level) for level in finite)
    if len(finite) == len(levels) and size <= MOST:
        for index in rng.permutation(size):
            places = np.unravel_index(int(index), [len(level) for level in finite])
            yield {name: level[int(place)] for name, level, place in zip(distributions, finite, places, strict=True)}


def from_unit(distribution: BaseDistribution, u: float) -> Any:
    """Return the parameter at coordinate u in [0, 1) of a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[min(int(u * len(distribution.choices)), len(distribution.choices) - 1)]
    if not isinstance(distribution, (FloatDistribution, IntDistribution)):
        raise TypeError(f"{type(distribution).__name__} is no distribution that Optuna documents.")
    if isinstance(distribution, IntDistribution):
        low, high = distribution.low - 0.5, distribution.high + 0.5
    else:
        low, high = distribution.low, distribution.high
    value = low * (high / low) ** u if distribution.log else low + (high - low) * u
    if distribution.step is not None:
        value = distribution.low + round((value - distribution.low) / distribution.step) * distribution.step
    value = min(max(value, distribution.low), distribution.high)
    return int(value) if isinstance(distribution, IntDistribution) else float(value)


def _levels(distribution: BaseDistribution) -> Sequence[Any] | None:
    """Return all values of a distribution; None where they cannot be counted."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, IntDistribution):
        return range(distribution.low, distribution.high + 1, distribution.step)
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        count = round((distribution.high - distribution.low) / distribution.step) + 1
        return [distribution.low + i * distribution.step for i in range(count)]
    return [distribution.low] if isinstance(distribution, FloatDistribution) and distribution.single() else None


def _key(params: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(
        (name, f"{value:.{DIGITS}g}" if isinstance(value, float) else repr(value))
        for name, value in sorted(params.items())
    )
