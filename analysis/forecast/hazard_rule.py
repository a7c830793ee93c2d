"""HazardRule: when the rest of a run's budget is not worth its steps, by a forecast of its chance to generalise."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from analysis.forecast.forecaster import GENERALISING, MEMORISING, Forecaster, KnownRun
from analysis.forecast.landmarks import landmarks
from grokcore.records.milestones import first_passage

EARLIEST: Final = 0.1
"""Share of a run's chance that must lie behind it before it is stopped."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """That a run need not go on, and why."""

    step: int
    """The landmark at which it is said."""
    chance: float
    """Chance that it still generalises within its budget."""
    budget: int
    """That budget."""
    bound: float
    """What the chance had to be below."""

    @property
    def sentence(self) -> str:
        """Return the reason in words."""
        return (
            f"chance to generalise by step {self.budget:,} was {self.chance:.3f} at step {self.step:,}, "
            f"below {self.bound:g}"
        )


def step_said(reason: str) -> int:
    """Return the landmark that the sentence of a verdict names; 0 for another text."""
    found = re.search(r" at step ([\d,]{1,20}), below ", reason)
    return 0 if found is None else int(found[1].replace(",", ""))


class HazardRule:
    """Says at each landmark whether a run may be stopped.

    It may where its chance to generalise within the budget is below `chance` at `looks` landmarks in a row, and, as
    long as it has not memorised, its chance to do that too: a map tells confusion and memorization apart. And not
    before it could have generalised: of the chance that it had at the first landmark, or the first one after
    memorization, the share `EARLIEST` must lie behind it, unless that chance was below already. The verdict is a
    function of the run's own past alone.
    """

    def __init__(self, forecaster: Forecaster, *, chance: float = 0.04, looks: int = 2) -> None:
        self.forecaster, self.chance, self.looks = forecaster, chance, looks

    def verdicts(self, runs: Iterable[KnownRun], landmark: int) -> list[Verdict | None]:
        """Return the verdict on each run at a landmark; None where it goes on."""
        runs = list(runs)
        found: list[Verdict | None] = [None] * len(runs)
        best = [{split: self._best(run, split, landmark) for split in ("train", "val")} for run in runs]
        live = [i for i, of in enumerate(best) if of["val"] < self.forecaster.threshold]
        early = [i for i in live if best[i]["train"] < self.forecaster.threshold]
        vain = self._below(runs, early, landmark, MEMORISING) if self.forecaster.knows_memorising else {}
        live = [i for i in live if i not in early or i in vain]
        for i, chance in self._below(runs, live, landmark, GENERALISING).items():
            found[i] = Verdict(step=landmark, chance=chance, budget=runs[i].budget, bound=self.chance)
        live = [i for i in live if found[i] is not None]
        ripe = {i for i, ripe in zip(live, self._could_have([runs[i] for i in live], landmark), strict=True) if ripe}
        return [verdict if i in ripe else None for i, verdict in enumerate(found)]

    def first(self, run: KnownRun) -> Verdict | None:
        """Return the first verdict on a run whose curves are known to the end, as it would have been on the way."""
        return self.first_of([run])[0]

    def first_of(self, runs: Sequence[KnownRun]) -> list[Verdict | None]:
        """Return `first` of several runs, computed together."""
        found: list[Verdict | None] = [None] * len(runs)
        last = [float(np.max(run.curves["step"])) for run in runs]
        for landmark in sorted({step for budget in {run.budget for run in runs} for step in landmarks(budget)}):
            going = [i for i, run in enumerate(runs) if found[i] is None and landmark < min(last[i], run.budget)]
            verdicts = self.verdicts([_until(runs[i], landmark) for i in going], landmark)
            for i, verdict in zip(going, verdicts, strict=True):
                found[i] = verdict
        return found

    def _best(self, run: KnownRun, split: str, landmark: int) -> float:
        past = np.asarray(run.curves["step"]) <= landmark
        seen = np.asarray(run.curves[f"{split}_accuracy"], dtype=float)[past]
        return float(np.nanmax(seen, initial=0.0))

    def _below(self, runs: Sequence[KnownRun], which: Sequence[int], landmark: int, of: str) -> dict[int, float]:
        """Return those of the runs `which` whose chance was below the bound at all looks, with the chance now."""
        live, now = list(which), dict[int, float]()
        first = {i: float(np.min(np.asarray(runs[i].curves["step"], dtype=float), initial=np.inf)) for i in live}
        for back in range(self.looks):
            # Most runs have a fair chance now: only those that have not are looked at before.
            for budget in {runs[i].budget for i in live}:
                these = [i for i in live if runs[i].budget == budget]
                earlier = [step for step in landmarks(budget) if step <= landmark]
                # Nothing is said of a run at a landmark before its first evaluation.
                seen = [i for i in these if len(earlier) > back and first[i] <= earlier[-1 - back]]
                live = [i for i in live if i in seen or i not in these]
                if not seen:
                    continue
                these = seen
                forecasts = self.forecaster.chances_of([runs[i] for i in these], earlier[-1 - back], of)
                for i, (_, chances) in zip(these, forecasts, strict=True):
                    if chances[-1] >= self.chance:
                        live.remove(i)
                    elif back == 0:
                        now[i] = float(chances[-1])
        return {i: now[i] for i in live}

    def _could_have(self, runs: Sequence[KnownRun], landmark: int) -> list[bool]:
        """Return whether enough of the chance that each run had at first lies behind it, or it never had one."""
        starts, found = [self._start(run, landmark) for run in runs], [True] * len(runs)
        for start in set(starts) - {landmark}:
            these = [i for i, own in enumerate(starts) if own == start]
            forecasts = self.forecaster.chances_of([runs[i] for i in these], start)
            for i, (ahead, chances) in zip(these, forecasts, strict=True):
                behind = landmark >= ahead[np.argmax(chances >= EARLIEST * chances[-1])]
                found[i] = bool(behind or chances[-1] < self.chance)
        return found

    def _start(self, run: KnownRun, landmark: int) -> int:
        """Return the first landmark, or the first one after memorization."""
        known = np.isfinite(np.asarray(run.curves["train_accuracy"], dtype=float))
        steps = np.asarray(run.curves["step"])[known]
        memorised = first_passage(steps, np.asarray(run.curves["train_accuracy"])[known], self.forecaster.threshold)
        since = memorised.step if memorised.event and memorised.step <= landmark else 0
        return next(step for step in [*landmarks(run.budget), landmark] if step >= min(since, landmark))


def _until(run: KnownRun, landmark: int) -> KnownRun:
    steps = np.asarray(run.curves["step"])
    curves: dict[str, Any] = {name: np.asarray(values)[steps <= landmark] for name, values in run.curves.items()}
    return replace(run, curves=curves)
