"""Sampler: how the next runs are chosen; a member builds the Optuna sampler that does it."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from grokcore.config.component import Component
from grokcore.config.registry import ComponentRegistry
from grokcore.records.regimes import RegimeRule

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial

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
        return {name: dimension.distribution for name, dimension in self.dimensions.items()}


@dataclass(frozen=True, kw_only=True)
class Sampler(Component, abc.ABC):
    """A way of choosing runs; its fields are its settings."""

    adaptive: ClassVar[bool]
    """Whether a choice depends on finished runs; if not, all runs may be asked for at once."""
    maps: ClassVar[bool] = False
    """Whether a choice goes by the map of the finished runs (`sweeps.search_map`), which others may then have too."""

    @abc.abstractmethod
    def build(self, problem: Problem) -> BaseSampler:
        """Return the Optuna sampler for `problem`."""

    @staticmethod
    def by_number(sampler: Any, seed: int) -> BaseSampler:
        """Let one of Optuna's samplers draw by the trial's number: one that a restored sweep builds goes on anew.

        Seeded once, it would begin its sequence again and choose the first runs a second time.
        """
        before = sampler.before_trial

        def before_trial(study: Study, trial: FrozenTrial) -> None:
            inner = (getattr(sampler, name, None) for name in ("_random_sampler", "_independent_sampler"))
            for place, part in enumerate((sampler, *inner)):
                if part is not None:
                    drawn = np.random.SeedSequence([seed, trial.number, place]).generate_state(1)[0]
                    part._rng.rng.seed(int(drawn))
            before(study, trial)

        sampler.before_trial = before_trial
        return cast("BaseSampler", sampler)

    def misfits(self, problem: Problem) -> Iterator[str]:  # noqa: ARG002 - most samplers take any problem
        """Yield why this sampler cannot do `problem`."""
        yield from ()


SAMPLERS: ComponentRegistry[Sampler] = ComponentRegistry("sweeps.samplers", Sampler, "sampler")  # type: ignore[type-abstract]
