"""The ensemble: several models of the same runs behind one interface, mixed by how well each predicts held-out runs.

No single model wins: smooth times are far ahead where times are smooth, labels where they jump. Runs are put in a
few random orders and predicted wave by wave from those before (prequentially, Dawid 1984); a member's weight grows with
its discounted log score, averaged over the orders, and never falls below a floor.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.models.change_points import PiecewisePosterior
from analysis.models.classifiers import PLAIN, LabelProcess, Propagation
from analysis.models.critical_law import CriticalLaw, fit_critical_law
from analysis.models.evidence import spread_rows
from analysis.models.memo import Memo
from analysis.models.milestone_times import MilestoneTimes, Times, regimes_by_delays, regimes_from_times
from analysis.models.stages import (
    PRIOR,
    STAGES,
    StageWeights,
    best_sharpness,
    earned_weights,
    equal_weights,
    mixed,
    scores_of_runs,
    sharpened,
)
from analysis.runs.axes import Array, Axis, feature_count, features
from analysis.runs.run_table import Runs, allowed_regimes
from grokcore.errors import DataError
from grokcore.records.regimes import REGIMES, RegimeRule

DISCOUNT = 0.95
"""Value of a wave's score against the next one's."""
WAVES = (0.35, 0.5, 0.65, 0.8, 1.0)
"""Shares of the runs after which the members are refitted and predict the next wave."""
MOST_ORDERS = 3
"""Random orders in which the runs are held out at most; with one, chance weighs in with few runs."""
ORDERED = 600
"""Runs over all orders, about: more runs need fewer orders."""
MOST_SCORED = 1500
"""Runs among which waves are drawn; more would only cost time."""
POOLED = ("times", "labels", "propagation")
"""Members of the equal pool that chooses runs."""
FOREVER = 9.0
"""log10 of a delay below the critical fraction."""
MEMBERS = ("times", "labels", "plain", "propagation")
"""Members that every ensemble has; the law is one more where the runs allow it."""
MOST_LEARNED = 20_000
"""Runs from which an ensemble learns at most; more would cost time and change nothing that a reader could see."""
LAW_ROWS = 400
"""Runs to which the law is fitted as a member; its interval estimates use all."""
LAW_DRAWS = 64
"""Draws of the law's parameters from their posterior."""
LAW_AVERAGED = 12
"""Of them, how many its probabilities average: a fraction that is known for certain would be a cliff."""
REMEMBERED = 2**24
"""Bytes of its members' answers that an ensemble keeps: those about a few grids."""


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """The fitted members under one rule and their weights."""

    rule: RegimeRule
    """The rule the label members were fitted under."""
    times: MilestoneTimes
    labels: LabelProcess
    plain: LabelProcess
    propagation: Propagation
    axes: tuple[Axis, ...]
    """The map's axes, with which the law reads the features."""
    law: CriticalLaw | None = None
    """The critical law of the delay, where the axes and the runs allow one; none beside columns of levels."""
    sharpness: dict[str, dict[str, float]] = field(default_factory=dict)
    """Power of the odds that the label members give each stage, from held-out runs."""
    stage_weights: StageWeights = field(default_factory=lambda: equal_weights(MEMBERS))
    """Weight of each member for each stage."""
    tested: dict[str, int] = field(default_factory=dict)
    """Number of held-out runs that put each stage to the test: twice the rarer answer."""
    held_out_scores: Array = field(default_factory=lambda: np.zeros(0))
    """(n,) mean log probability that the mixture gave each run before it had seen it; NaN for runs never held out."""
    memo: Memo = field(init=False, default_factory=lambda: Memo(REMEMBERED))
    """What the members said of the last few sets of points."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the members' names."""
        return MEMBERS if self.law is None else (*MEMBERS, "law")

    @property
    def weights(self) -> dict[str, float]:
        """Return each member's weight over all stages, each counted by how many runs tested it."""
        counts = {stage: self.tested.get(stage, 0) + 1 for stage in self.stage_weights}
        total = sum(counts.values())
        names = next(iter(self.stage_weights.values()))
        return {name: sum(counts[q] * self.stage_weights[q][name] for q in counts) / total for name in names}

    @property
    def sentence(self) -> str:
        """Return in words how the members are mixed and what that says about the edges."""
        weights = self.weights
        shares = ", ".join(f"{name} {weight:.2f}" for name, weight in sorted(weights.items(), key=lambda w: -w[1]))
        smooth = weights["times"] + weights.get("law", 0.0)
        kind = "smooth times with some jumps"
        if smooth >= 2 / 3:
            kind = "times are smooth"
        elif smooth <= 1 / 3:
            kind = "the edge is a jump"
        jumping = " and of ".join(
            name.replace("delay", "the delay") for name, jumps in self.times.jumps.items() if jumps
        )
        if jumping:
            kind += f" but for a jump of {jumping}" if smooth >= 2 / 3 else f", also a jump of {jumping}"
        return f"{kind} ({shares})"

    @classmethod
    def fit(cls, runs: Runs, points: Array, rule: RegimeRule, seed: int, start: Ensemble | None = None) -> Ensemble:
        """Fit every member to the runs at feature rows `points`; hyperparameters are searched from those of `start`."""
        count, rows = len(points), learned_rows(len(points), seed)
        runs, points = runs.rows(rows), points[rows]
        first = cls._members(runs, points, rule, seed, start, learn=True)
        held, scored, discounts = _held_out(first, runs, points, rule, seed)
        allowed = allowed_regimes(runs, rule)[scored]
        sharpness = {name: best_sharpness(held[name], allowed, discounts) for name in MEMBERS[1:]}
        sharp = {name: sharpened(p, sharpness.get(name, {})) for name, p in held.items()}
        stage_weights, tested = earned_weights(sharp, allowed, discounts)
        scores = np.full(count, np.nan)
        scores[rows] = scores_of_runs(mixed(sharp, stage_weights), allowed, scored, len(points))
        return replace(first, sharpness=sharpness, stage_weights=stage_weights, tested=tested, held_out_scores=scores)

    @classmethod
    def briefly(cls, runs: Runs, points: Array, rule: RegimeRule, seed: int) -> Ensemble:
        """Fit the members without jumps and without a law, and mix them by the odds that they had before any run."""
        rows = learned_rows(len(points), seed)
        runs, points = runs.rows(rows), points[rows]
        allowed = allowed_regimes(runs, rule)
        labels = LabelProcess.fit(allowed, points, nested=True)
        total = sum(PRIOR[name] for name in MEMBERS)
        return cls(
            rule=rule,
            times=MilestoneTimes.smoothly(runs, points),
            labels=labels,
            plain=LabelProcess.fit(allowed, points, prior=PLAIN),
            propagation=Propagation.fit(allowed, points, labels.relevance, seed),
            axes=runs.axes,
            stage_weights={stage: {name: PRIOR[name] / total for name in MEMBERS} for stage in STAGES},
        )

    @classmethod
    def _members(
        cls, runs: Runs, points: Array, rule: RegimeRule, seed: int, start: Ensemble | None, *, learn: bool
    ) -> Ensemble:
        allowed = allowed_regimes(runs, rule)
        times = MilestoneTimes.fit(runs, points, start.times if start is not None else None, learn=learn)
        before = start.labels if start is not None else None
        labels = LabelProcess.fit(allowed, points, before, nested=True, learn=learn)
        before = start.plain if start is not None else None
        law = start.law if start is not None else None
        # Refitted, an ensemble without a law has no use for one.
        lawful = points.shape[1] == feature_count(runs.axes) and (learn or law is not None)
        return cls(
            rule=rule,
            times=times,
            labels=labels,
            plain=LabelProcess.fit(allowed, points, before, prior=PLAIN, learn=learn),
            propagation=Propagation.fit(allowed, points, labels.relevance, seed),
            axes=runs.axes,
            law=law_member(runs, law, LAW_DRAWS if learn else 0, formed=not learn) if lawful else None,
        )

    def refitted(self, runs: Runs, points: Array, seed: int, rule: RegimeRule | None = None) -> Ensemble:
        """Return the members fitted to other runs or under another rule, hyperparameters, weights and sharpness kept.

        The page does the same in the browser when a slider moves.
        """
        rows = learned_rows(len(points), seed)
        members = self._members(runs.rows(rows), points[rows], rule or self.rule, seed, self, learn=False)
        return replace(members, sharpness=self.sharpness, stage_weights=self.stage_weights, tested=self.tested)

    def member(self, name: str, points: Array, rule: RegimeRule | None = None) -> Array:
        """Return (n, 4) probabilities of one member at feature rows; only times and law take a rule of their own."""
        rule = rule or self.rule
        return self.memo.answer((name, rule), points, lambda: self._member(name, points, rule))

    def _member(self, name: str, points: Array, rule: RegimeRule) -> Array:
        if name == "times" or (name == "law" and self.law is None):
            return regimes_from_times(self.times.predict(points), rule)
        if name == "law":
            times, delays = self.predict_times(points, name), self.law_delays(points)
            some = delays[:: -(-len(delays) // LAW_AVERAGED)]
            several = [times.delay._replace(mean=mean) for mean in some]
            return np.asarray(regimes_by_delays(times.mem, several, rule).mean(axis=0))
        powers = self.sharpness.get(name, {})
        if name in ("labels", "plain"):
            process = self.label_process(name)
            return sharpened(process.probabilities(process.latents(points)), powers)
        return sharpened(self.propagation.probabilities(points), powers)

    def label_process(self, name: str) -> LabelProcess:
        """Return the member "labels" or "plain"."""
        return self.labels if name == "labels" else self.plain

    @property
    def features(self) -> int:
        """Return the number of features the members read."""
        return int(self.times.mem.smooth.basis.shape[1])

    def card(self) -> dict[str, Any]:
        """Return weights, sharpness, noise, change points and hyperparameters as plain values."""
        return {
            "stage_weights": self.stage_weights,
            "sharpness": dict(self.sharpness),
            "noise_log10": {"t_mem": self.times.mem.noise, "delay": self.times.delay.noise},
            "jumps_log10": self.times.jumps,
            "hyperparameters": self.hyperparameters(),
        }

    def hyperparameters(self) -> dict[str, dict[str, Any]]:
        """Return each process's length scales (in box widths), amplitude, slope and noise as plain values."""
        named = {"t_mem": self.times.mem.smooth, "delay": self.times.delay.smooth}
        for time, process in (("t_mem", self.times.mem), ("delay", self.times.delay)):
            named |= {
                f"{time} change point {number}": point.side
                for number, point in enumerate(process.change_points, start=1)
            }
        named |= {f"label {name}": process for name, process in zip(STAGES, self.labels.processes, strict=True)}
        named |= {f"plain {regime}": process for regime, process in zip(REGIMES, self.plain.processes, strict=True)}
        return {
            name: asdict(process.kernel) | {"lengths": process.kernel.lengths.tolist()}
            for name, process in named.items()
        }

    def predict_times(self, points: Array, name: str = "times") -> Times:
        """Return the posterior of the times; for "law" with the law's delay in the process's place."""
        times = self.times.predict(points)
        if name == "times" or self.law is None:
            return times
        with np.errstate(divide="ignore"):
            delay = np.clip(self.law.predict(self._table(points)), -1.0, FOREVER)
        return times._replace(delay=PiecewisePosterior(delay, np.zeros(len(delay)), self.law.noise))

    def law_delays(self, points: Array) -> Array:
        """Return (S, n) log10 delays of the median run at feature rows, by draws of the law."""
        if self.law is None:
            raise DataError("this ensemble has no law.")
        with np.errstate(divide="ignore"):
            return np.clip(self.law.sample(self._table(points)), -1.0, FOREVER)

    def _table(self, points: Array) -> pd.DataFrame:
        """Return the axes' columns at feature rows."""
        table = pd.DataFrame({axis.name: axis.value(u) for axis, u in zip(self.axes, points.T, strict=False)})
        for axis, flag in zip([axis for axis in self.axes if axis.zero], points.T[len(self.axes) :], strict=True):
            table[axis.name] = np.where(flag > 0.5, 0.0, table[axis.name])
        return table

    def mixture(self, points: Array) -> Array:
        """Return (n, 4): the members mixed by the weights each earned."""
        return mixed({name: self.member(name, points) for name in self.weights}, self.stage_weights)

    def pool(self, points: Array) -> Array:
        """Return (n, 4): the plain mean of the pooled members, which chooses runs well in every world."""
        return np.asarray(sum(self.member(name, points) for name in POOLED) / len(POOLED))


def learned_rows(count: int, seed: int) -> npt.NDArray[np.intp]:
    """Return the rows from which an ensemble learns: all, or of very many a random part, in their order."""
    if count <= MOST_LEARNED:
        return np.arange(count)
    return np.sort(np.random.default_rng([seed, 5]).choice(count, MOST_LEARNED, replace=False))


def _held_out(
    ensemble: Ensemble, runs: Runs, points: Array, rule: RegimeRule, seed: int
) -> tuple[dict[str, Array], npt.NDArray[np.intp], Array]:
    """Return each member's probabilities for runs it had not seen, which runs these are, and each one's discount."""
    orders = min(MOST_ORDERS, -(-ORDERED // len(points)))
    held: dict[str, list[Array]] = {name: [] for name in ensemble.names}
    scored: list[npt.NDArray[np.intp]] = []
    discounts: list[Array] = []
    for number in range(orders):
        order = _shuffled(runs, points, (seed, number))[:MOST_SCORED]
        ends = [round(share * len(order)) for share in WAVES]
        for wave, (seen, end) in enumerate(itertools.pairwise(ends)):
            past, next_wave = order[:seen], order[seen:end]
            fitted = Ensemble._members(runs.rows(past), points[past], rule, seed, ensemble, learn=False)
            for name, found in held.items():
                found.append(fitted.member(name, points[next_wave]))
            scored.append(next_wave)
            discounts.append(np.full(len(next_wave), DISCOUNT ** (len(WAVES) - 2 - wave) / orders))
    return (
        {name: np.vstack(found) for name, found in held.items()},
        np.concatenate(scored),
        np.concatenate(discounts),
    )


def law_member(runs: Runs, start: CriticalLaw | None, draws: int = 0, *, formed: bool = False) -> CriticalLaw | None:
    """Return the law fitted to some of the runs, in the form of `start` if it is `formed`; None where there is none."""
    if len(runs.table) > LAW_ROWS:
        runs = runs.rows(spread_rows(features(runs.axes, runs.table), LAW_ROWS))
    try:
        return fit_critical_law(runs, intervals=False, draws=draws, start=start, formed=formed)
    except DataError:
        return None


def _shuffled(runs: Runs, points: Array, seed: tuple[int, int]) -> npt.NDArray[np.intp]:
    """Return a random order of the runs that does not depend on the order of the table's rows."""
    keys = [runs.table["t_gen"].to_numpy(), runs.table["t_mem"].to_numpy(), *points.T]
    return np.lexsort(keys)[np.random.default_rng(seed).permutation(len(points))]
