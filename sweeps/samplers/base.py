"""Sampler: how the next runs are chosen; a member builds the Optuna sampler that does it."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from grokcore.config.component import Component
from grokcore.config.registry import ComponentRegistry
from grokcore.records.regimes import RegimeRule

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

    from sweeps.spec.space import Dimension


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a sampler is told about a sweep before it starts."""

    dimensions: Mapping[str, Dimension]
    """What varies, by dotted name."""
    rule: RegimeRule
    """What counts as which regime."""
    runs: int
    """How many runs will be asked for."""
    seed: int
    """Seed of the choice, apart from the seeds of the runs."""

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the dimensions as Optuna knows them."""
        return {name: dimension.distribution() for name, dimension in self.dimensions.items()}


@dataclass(frozen=True, kw_only=True)
class Sampler(Component, abc.ABC):
    """A way of choosing runs; its fields are its settings."""

    adaptive: ClassVar[bool]
    """Whether a choice depends on finished runs; if not, all runs may be asked for at once."""

    @abc.abstractmethod
    def build(self, problem: Problem) -> BaseSampler:
        """Return the Optuna sampler for `problem`."""

    def misfits(self, problem: Problem) -> Iterator[str]:  # noqa: ARG002 - most samplers take any problem
        """Yield why this sampler cannot do `problem`."""
        yield from ()


SAMPLERS: ComponentRegistry[Sampler] = ComponentRegistry("sweeps.samplers", Sampler, "sampler")  # type: ignore[type-abstract]
