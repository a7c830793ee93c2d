"""Hazard: a run is stopped when a forecast gives it next to no chance to generalise within its budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Le, Lt

from analysis.forecast.learned import FAMILIES, THRESHOLD, misfit
from grokcore.engine.judging import Judge
from grokcore.errors import ConfigError, DataError
from grokcore.records.regimes import RegimeRule
from sweeps.stopping.base import NOTHING, Expected, Stopping

if TYPE_CHECKING:
    from grokcore.records.run_record import RunRecord


@dataclass(frozen=True, kw_only=True)
class Hazard(Stopping):
    """A run is stopped when its chance to generalise within its budget stays below `chance`.

    The chance is forecast at landmarks, five per factor of ten in steps from step 40 on, from the run's own curves
    and settings. It must be below at `looks` landmarks in a row, as must be the chance to memorise as long as the run
    has not, and not before the run could have generalised: a tenth of the chance that the forecast gave it when it
    memorised must lie behind it, unless that was below already. A random share of the runs, `audit`, goes on whatever
    the forecast says; what becomes of those that would have been stopped is the rate of false alarms that the sweep
    reports.
    """

    expects: ClassVar[bool] = True
    taken: ClassVar[float] = 0.45

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
            from sweeps.stopping._hazard_judge import forecaster_at

            try:
                forecaster_at(self.forecaster)
            except DataError as error:
                yield f"forecaster: {error}"

    def misfits(self, rule: RegimeRule, families: Iterable[str]) -> Iterator[str]:
        """Yield that the forecaster learned another threshold than the rule's, or nothing from tasks of a family."""
        learned, threshold = FAMILIES, THRESHOLD
        if self.forecaster:
            from sweeps.stopping._hazard_judge import forecaster_at

            forecaster = forecaster_at(self.forecaster)
            learned, threshold = forecaster.families, forecaster.threshold
        if threshold != rule.threshold:
            yield (
                f"stopping: the forecaster forecasts an accuracy of {threshold:g}, and the rule says "
                f"{rule.threshold:g}; take rule.threshold = {threshold:g}, another forecaster, or none."
            )
        yield from (f"stopping: {said}" for family in families if (said := misfit(learned, family)))

    def judge(self, rule: RegimeRule) -> Judge:
        """Return the judge; raises `ConfigError` if the forecaster learned another threshold than the rule's."""
        return self.expecting(rule, {})

    def level(self, rule: RegimeRule, records: Iterable[RunRecord], expected: Mapping[str, Expected]) -> float:
        """Return by how much the forecasts of a sweep's runs that are over were too low, in log odds of the hazard."""
        from sweeps.stopping._hazard_judge import forecaster_at
        from sweeps.stopping._known_runs import finished_run

        runs = (finished_run(r, rule.budget, rule.threshold, expected.get(r.run_id, NOTHING)) for r in records)
        return forecaster_at(self.forecaster).level_of(runs)

    def expecting(self, rule: RegimeRule, expected: Mapping[str, Expected]) -> Judge:
        """Return the judge of runs of which the sweep's own runs said what is `expected`."""
        from analysis.forecast.hazard_rule import HazardRule
        from sweeps.stopping._hazard_judge import HazardJudge, forecaster_at

        if wrong := list(self.misfits(rule, ())):
            raise ConfigError(wrong)
        hazard = HazardRule(forecaster_at(self.forecaster), chance=self.chance, looks=self.looks)
        return HazardJudge(hazard, rule, self.audit, expected)
