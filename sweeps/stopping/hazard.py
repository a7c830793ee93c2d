"""Hazard: a run is stopped when a forecast gives it next to no chance to generalise within its budget."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le, Lt

from analysis.forecast.forecaster import SHIPPED, Forecaster, KnownRun
from analysis.forecast.hazard_rule import HazardRule
from analysis.forecast.landmarks import landmarks
from grokcore.engine.judging import Judge
from grokcore.errors import ConfigError, DataError
from grokcore.records.regimes import RegimeRule
from grokcore.run_config import RunConfig
from sweeps.stopping.base import Stopping


@dataclass(frozen=True, kw_only=True)
class Hazard(Stopping):
    """A run is stopped when its chance to generalise within its budget stays below `chance`.

    The chance is forecast at landmarks, five per factor of ten in steps from step 40 on, from the run's own curves
    and settings. It must be below at `looks` landmarks in a row, and not before the run could have generalised: a
    tenth of the chance that the forecast gave it when it memorised must lie behind it, unless that was below
    already. A random share of the runs, `audit`, goes on whatever the forecast says; what becomes of those that
    would have been stopped is the rate of false alarms that the sweep reports.
    """

    expects: ClassVar[bool] = True

    chance: Annotated[float, Gt(0), Lt(1)] = 0.04
    """Chance to generalise within the budget below which a run is stopped."""
    looks: Annotated[int, Ge(1)] = 2
    """Landmarks in a row at which it must be below."""
    audit: Annotated[float, Ge(0), Le(1)] = 0.05
    """Share of the runs that are never stopped."""
    forecaster: str = ""
    """File of a saved forecaster; the one that comes with the package if not given."""

    def complaints(self) -> Iterator[str]:
        """Yield that the forecaster cannot be read."""
        if self.forecaster:
            try:
                _loaded(self.forecaster)
            except DataError as error:
                yield f"forecaster: {error}"

    def misfits(self, families: Iterable[str]) -> Iterator[str]:
        """Yield that the forecaster has not learned from tasks of such a family."""
        forecaster = _loaded(self.forecaster or str(SHIPPED))
        yield from (f"stopping: {said}" for family in families if (said := forecaster.misfit(family)))

    def judge(self, rule: RegimeRule) -> Judge:
        """Return the judge; raises `ConfigError` if the forecaster learned another threshold than the rule's."""
        return self.expecting(rule, {})

    def expecting(self, rule: RegimeRule, expected: Mapping[str, float | None]) -> Judge:
        """Return the judge of runs to which the map of the sweep's own runs gave the `expected` chances."""
        forecaster = _loaded(self.forecaster or str(SHIPPED))
        if forecaster.threshold != rule.threshold:
            raise ConfigError(
                [
                    f"stopping: the forecaster forecasts an accuracy of {forecaster.threshold:g}, and the rule says "
                    f"{rule.threshold:g}; take rule.threshold = {forecaster.threshold:g}, another forecaster, or none."
                ]
            )
        hazard = HazardRule(forecaster, chance=self.chance, looks=self.looks)
        return HazardJudge(hazard, rule, self.audit, expected)


class HazardJudge:
    """Asks the hazard rule of the runs of a cohort."""

    def __init__(
        self, rule: HazardRule, regimes: RegimeRule, audit: float, expected: Mapping[str, float | None]
    ) -> None:
        self._rule, self._regimes, self._audit, self._expected = rule, regimes, audit, expected

    def looks(self, config: RunConfig) -> frozenset[int]:
        """Return the landmarks."""
        return _landmarks(self.rules_out(config))

    def verdicts(self, runs: Sequence[tuple[RunConfig, Mapping[str, Any]]], step: int) -> list[str]:
        """Return why each run is stopped; empty where it goes on."""
        found = self._rule.verdicts([self._known(config, curves) for config, curves in runs], step)
        return ["" if verdict is None else verdict.sentence for verdict in found]

    def rules_out(self, config: RunConfig) -> int:
        """Return the budget that a forecast is asked about."""
        return min(config.steps, self._regimes.budget)

    def audited(self, config: RunConfig) -> bool:
        """Draw by the run's identity: the same run is audited wherever it is trained."""
        drawn = int.from_bytes(hashlib.sha256(f"audit {config.run_id}".encode()).digest()[:8], "big")
        return drawn < self._audit * 2**64

    def remark(self, config: RunConfig, curves: Mapping[str, Any]) -> str:
        """Return where an audited run would have been stopped."""
        verdict = self._rule.first(self._known(config, curves))
        return "" if verdict is None else f"audited: {verdict.sentence}"

    def _known(self, config: RunConfig, curves: Mapping[str, Any]) -> KnownRun:
        flat = config.to_flat()
        settings = {name: flat.get(full) for name, full in _SETTINGS.items()}
        settings["expected"] = self._expected.get(config.run_id)
        return KnownRun(curves=curves, settings=settings, budget=self.rules_out(config))


_SETTINGS = {"rate": "optimizer.rate", "decay": "optimizer.decay"}


@functools.lru_cache(maxsize=4)
def _loaded(path: str) -> Forecaster:
    return Forecaster.load(Path(path))


@functools.lru_cache(maxsize=256)
def _landmarks(budget: int) -> frozenset[int]:
    return frozenset(landmarks(budget))
