"""Who asks the hazard rule of the runs of a cohort; apart from the rule's settings, which are read without all this."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.forecast.forecaster import Forecaster, KnownRun
from analysis.forecast.hazard_rule import HazardRule
from analysis.forecast.landmarks import landmarks
from grokcore.records.regimes import RegimeRule
from grokcore.records.run_record import RuledOut
from grokcore.run_config import RunConfig
from sweeps.stopping._known_runs import known_run
from sweeps.stopping.base import NOTHING, Expected


@functools.lru_cache(maxsize=4)
def forecaster_at(path: str) -> Forecaster:
    """Return a saved forecaster, read once; the shipped one for no path."""
    return Forecaster.load(Path(path)) if path else Forecaster.load()


class HazardJudge:
    """Asks the hazard rule of the runs of a cohort."""

    def __init__(self, rule: HazardRule, regimes: RegimeRule, audit: float, expected: Mapping[str, Expected]) -> None:
        self._rule, self._regimes, self._audit, self._expected = rule, regimes, audit, expected

    def looks(self, config: RunConfig) -> frozenset[int]:
        """Return the landmarks."""
        return _landmarks(self.rules_out(config).step)

    def verdicts(self, runs: Sequence[tuple[RunConfig, Mapping[str, Any]]], step: int) -> list[str]:
        """Return why each run is stopped; empty where it goes on."""
        found = self._rule.verdicts([self._known(config, curves) for config, curves in runs], step)
        return ["" if verdict is None else verdict.sentence for verdict in found]

    def rules_out(self, config: RunConfig) -> RuledOut:
        """Return the budget that a forecast is asked about, and the accuracy."""
        return RuledOut(min(config.steps, self._regimes.budget), self._rule.forecaster.threshold)

    def audited(self, config: RunConfig) -> bool:
        """Draw by the run's identity: the same run is audited wherever it is trained."""
        drawn = int.from_bytes(hashlib.sha256(f"audit {config.run_id}".encode()).digest()[:8], "big")
        return drawn < self._audit * 2**64

    def remark(self, config: RunConfig, curves: Mapping[str, Any]) -> str:
        """Return where an audited run would have been stopped."""
        verdict = self._rule.first(self._known(config, curves))
        return "" if verdict is None else f"audited: {verdict.sentence}"

    def _known(self, config: RunConfig, curves: Mapping[str, Any]) -> KnownRun:
        return known_run(config, curves, self._regimes.budget, self._expected.get(config.run_id, NOTHING))


@functools.lru_cache(maxsize=256)
def _landmarks(budget: int) -> frozenset[int]:
    return frozenset(landmarks(budget))
