"""A forecast inside anyone's training loop: told what the loop knows, it says whether waiting still pays."""

from __future__ import annotations

import math
from typing import Any

from analysis.forecast.forecaster import Forecaster, KnownRun, last_landmark
from analysis.forecast.hazard_rule import HazardRule, Verdict
from analysis.forecast.landmarks import CURVES, SETTINGS
from grokcore.errors import ConfigError
from grokcore.records.milestone_callback import Milestones


class Forecast(Milestones):
    """`Milestones` that also forecast. Call `see` where the loop evaluates; ask `chance` or `verdict` when you like.

    `settings` are those of rate and decay that there are. The more often the loop evaluates, on a logarithmic
    clock, the more is known; losses and the weights' norm sharpen it, accuracies alone will do.

    >>> watch = Forecast(budget=20_000, rate=1e-3, decay=1.0)
    >>> for step in (1, 10, 100, 1000):
    ...     watch.see(step, train=min(1.0, step / 100), val=0.02)
    ...     if watch.verdict is not None:
    ...         break  # print(watch.verdict.sentence)
    >>> 0 < watch.chance < 1
    True
    """

    def __init__(
        self, budget: int, threshold: float = 0.9, *, forecaster: Forecaster | None = None, **settings: float
    ) -> None:
        super().__init__(threshold)
        if budget < 1:
            raise ConfigError([f"budget = {budget!r}: give the optimizer steps that the run may take, at least 1."])
        self._rule = HazardRule(forecaster or Forecaster.load())
        if self._rule.forecaster.threshold != threshold:
            known = self._rule.forecaster.threshold
            raise ConfigError(
                [f"threshold = {threshold:g}: the forecaster forecasts an accuracy of {known:g}; give that."]
            )
        if unknown := settings.keys() - set(SETTINGS):
            raise ConfigError([f"{', '.join(sorted(unknown))}: a forecast knows of {', '.join(SETTINGS)} alone."])
        self._budget, self._settings = budget, settings
        self._others: list[dict[str, float]] = []

    def see(self, step: int, train: float, val: float, **others: float) -> None:
        """Note the accuracies after `step` optimizer steps, and any of train_loss, val_loss and weight_norm."""
        if unknown := others.keys() - set(CURVES):
            raise ConfigError([f"see: {', '.join(sorted(unknown))} is none of {', '.join(CURVES[2:])}."])
        super().see(step, train, val)
        self._others.append(others)

    @property
    def chance(self) -> float | None:
        """Return the chance that it generalises within the budget; None before the first landmark, step 40."""
        run = self._known()
        if self._seen and self.t_gen.event:
            return 1.0
        landmark = last_landmark(run)
        return None if landmark is None else float(self._rule.forecaster.chances(run, landmark)[1][-1])

    @property
    def verdict(self) -> Verdict | None:
        """Return why it need not go on; None where it should, or nothing can be said yet."""
        run = self._known()
        landmark = last_landmark(run)
        return None if landmark is None else self._rule.verdicts([run], landmark)[0]

    def _known(self) -> KnownRun:
        steps, train, val = ([row[i] for row in self._seen] for i in range(3))
        curves: dict[str, Any] = {"step": steps, "train_accuracy": train, "val_accuracy": val}
        curves |= {name: [row.get(name, math.nan) for row in self._others] for name in CURVES[2:]}
        return KnownRun(curves=curves, settings=self._settings, budget=self._budget)
