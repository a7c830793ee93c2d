"""Forecasts on sweeps that were not learned from, and what stopping by them saves and costs.

``python -m benchmarks.forecast [--later | --ship]``: each sweep of benchmarks/forecast_sweeps.parquet (made by
``python -m benchmarks.forecast_sweeps``; retrained, no number changes) is forecast by what the others taught. Ranking
and calibration are of the chance to generalise within the budget, asked at the last landmark up to memorization + 10 %
of the remaining steps, of runs that had memorised and not generalised by that landmark. Beside it: the configuration
alone (the same boosting, learned across sweeps, and within the sweep itself by five folds; then the map's own model,
fitted to four fifths of the sweep's runs, and to the runs before, which the forecast knows of too), the norm-separation
law (arXiv 2603.13331; the norm after generalisation is the median over the other sweeps, as a share of the initial
norm), and the entropy of the activations' spectrum as a share of its first value (after arXiv 2604.13123). Then what
rules of stopping save of the steps that the runs took without one, and how many runs they stop that did generalise: the
hazard rule as it is in sweeps (what it learns of a sweep, it learns from runs as it left them), the median rule and
successive halving (η = 4, rungs at 1/16 and 1/4 of the budget) on the best validation accuracy. Beside the calibration
error is that of a perfect forecast with the same chances, which is not 0 with so few runs: its mean and 95th percentile
over 400 draws. What a forecast looks at and the settings of the rule were chosen on these sweeps. `--later` forecasts
those that were trained afterwards (`benchmarks.forecast_sweeps.LATER`) by what the first taught. `--ship` learns from
the first and writes what is shipped with the package.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from analysis import RegimeMap
from analysis.forecast.forecaster import SHIPPED, Forecaster, KnownRun
from analysis.forecast.hazard_rule import HazardRule
from analysis.forecast.landmarks import CURVES, landmarks
from benchmarks.forecast_sweeps import LATER, PACKED, configs
from grokcore.records.milestones import Milestone
from grokcore.records.regimes import RegimeRule
from sweeps.expectations import FIRST, chances_to_generalise, expected_in_order

Array = npt.NDArray[np.float64]
CONFIGURATION = ("fraction", "rate", "decay")
AXES = {"fraction": "linear", "rate": "log", "decay": "log"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """A run of a kept sweep."""

    known: KnownRun
    t_mem: Milestone
    entropy: Array
    """Logarithm of the effective number of directions of the activations, (E,)."""

    @property
    def last(self) -> int:
        """Return the last step it took."""
        return int(self.known.curves["step"][-1])

    @property
    def t_gen(self) -> Milestone:
        """Return when it generalised."""
        assert self.known.t_gen is not None
        return self.known.t_gen

    def asked_at(self) -> int | None:
        """Return the landmark at which it is asked for; None where there is no question any more."""
        if not self.t_mem.event:
            return None
        latest = self.t_mem.step + 0.1 * (self.known.budget - self.t_mem.step)
        fit = [step for step in landmarks(self.known.budget) if step <= latest and step <= self.last]
        return fit[-1] if fit and not (self.t_gen.event and self.t_gen.step <= fit[-1]) else None


def sweeps(*, later: bool = False) -> dict[str, list[Run]]:
    """Return the kept sweeps by name; with `later` those too on which no choice was made."""
    found: dict[str, list[Run]] = {}
    families: dict[str, str] = {}
    table = pd.read_parquet(PACKED)
    table = table if later else table[~table["sweep"].isin(list(LATER))]
    for (sweep, _), curves in table.groupby(["sweep", "run_id"], sort=False):
        first = curves.iloc[0]
        family = families.setdefault(str(sweep), configs(str(sweep))[0].task.family)
        known = KnownRun(
            curves={name: curves[name].to_numpy() for name in ("step", *CURVES)},
            settings={name: float(first[name]) for name in CONFIGURATION},
            budget=int(first["budget"]),
            t_gen=Milestone(event=bool(first["t_gen_event"]), step=int(first["t_gen"])),
            t_mem=(mem := Milestone(event=bool(first["t_mem_event"]), step=int(first["t_mem"]))),
            family=family,
        )
        entropy = np.log(curves["activation_rank"].to_numpy(float))
        found.setdefault(str(sweep), []).append(Run(known=known, t_mem=mem, entropy=entropy))
    return {name: _expected(runs) for name, runs in found.items()}


def table(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the configurations and milestones of runs, as a map is fitted to them."""
    rows = [
        {**run.known.settings}
        | {"t_mem": run.t_mem.step, "t_mem_event": run.t_mem.event}
        | {"t_gen": run.t_gen.step, "t_gen_event": run.t_gen.event}
        for run in runs
    ]
    return pd.DataFrame(rows)


def rule_of(runs: Sequence[Run]) -> RegimeRule:
    """Return the rule of a sweep's map."""
    return RegimeRule(budget=runs[0].known.budget, ratio=5)


def _expected(runs: list[Run]) -> list[Run]:
    """Return the runs of a sweep, each with what the map of those before it expected of it."""
    chances = expected_in_order(table(runs), AXES, rule_of(runs))
    settings = [{**run.known.settings, "expected": chance} for run, chance in zip(runs, chances, strict=True)]
    return [replace(run, known=replace(run.known, settings=own)) for run, own in zip(runs, settings, strict=True)]


def in_order(runs: Sequence[Run], forecaster: Forecaster) -> tuple[list[Run], list[int | None]]:
    """Return the runs of a sweep with the level that those before gave them, and where the hazard rule stops each.

    As in a sweep, the level is asked for when twice as many runs are over, and of a run that was stopped no more is
    known than until then.
    """
    rule, level = HazardRule(forecaster), 0.0
    levelled: list[Run] = []
    stops: list[int | None] = []
    for end in [*_doubled(len(runs)), len(runs)]:
        size = len(levelled)
        if size:
            level = forecaster.level_of(_left(run, stop) for run, stop in zip(levelled, stops, strict=True))
        block = [replace(run, known=replace(run.known, level=level)) for run in runs[size:end]]
        stops += [None if v is None else v.step for v in rule.first_of([run.known for run in block])]
        levelled += block
    return levelled, stops


def _doubled(count: int) -> list[int]:
    """Return the numbers of runs at which a sweep of so many is looked at."""
    sizes = [FIRST * 2**i for i in range(5)]
    return [size for size in sizes if size < count]


def _left(run: Run, stop: int | None) -> KnownRun:
    """Return a run as it was left: watched until it was stopped."""
    return run.known if stop is None else replace(run.known, t_gen=Milestone(event=False, step=stop))


def mapped(runs: Sequence[Run]) -> Array:
    """Return what the map of four fifths of a sweep's runs says of the others by their configuration, by five folds."""
    frame, fold = table(runs), np.random.default_rng(0).permutation(len(runs)) % 5
    fitted = RegimeMap.fit(frame, AXES, rule=rule_of(runs))
    chances = np.empty(len(runs))
    for left_out in range(5):
        part = fitted.with_runs(frame[fold != left_out])
        chances[fold == left_out] = chances_to_generalise(part, frame[fold == left_out])
    return chances


def calibration_error(chance: Array, event: npt.NDArray[np.bool_]) -> float:
    """Return the mean distance of ten bins of equal width from the share that happened, weighted by their runs."""
    bins = np.minimum((chance * 10).astype(int), 9)
    return float(sum(abs(chance[bins == b].sum() - event[bins == b].sum()) for b in range(10)) / len(chance))


def calibrated(chance: Array, event: npt.NDArray[np.bool_]) -> str:
    """Return the calibration error in words, beside that of runs which become what they do with just these chances."""
    rng = np.random.default_rng(0)
    drawn = [calibration_error(chance, rng.random(len(chance)) < chance) for _ in range(400)]
    return (
        f"calibration error {calibration_error(chance, event):.3f} "
        f"(of a perfect forecast {np.mean(drawn):.3f}, 95 % below {np.quantile(drawn, 0.95):.3f})"
    )


def settings(runs: Iterable[Run]) -> Array:
    """Return the configurations alone, (N, 4)."""
    rows = [[run.known.settings[name] for name in CONFIGURATION] + [run.known.budget] for run in runs]
    table = np.array(rows, dtype=float)
    return np.column_stack([table[:, 0], np.log10(np.maximum(table[:, 1:], 1e-12))])


def boosting() -> Any:
    """Return the model of the configuration alone."""
    return HistGradientBoostingClassifier(max_iter=80, max_leaf_nodes=8, min_samples_leaf=8, random_state=0)


def within(runs: Sequence[Run]) -> Array:
    """Return what the configurations of a sweep alone say of its runs, by five folds."""
    event = np.array([run.t_gen.event for run in runs])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return np.asarray(cross_val_predict(boosting(), settings(runs), event, cv=folds, method="predict_proba")[:, 1])


def beside(said: pd.DataFrame) -> str:
    """Return how the map's own model ranks runs, and the forecast those of which the map says something."""
    parts = []
    for name in ("map, five folds", "map, in order"):
        some = said[said[name].notna()]
        event = some["event"].to_numpy()
        both = [ranked(event, some[which].to_numpy()) for which in (name, "forecast")]
        parts.append(f"{name}: AUROC {both[0]}, forecast of the same {len(some)} runs {both[1]}")
    return "; ".join(parts)


def norm_law(run: Run, at: int, share: float) -> float:
    """Return minus log10 of the step at which the norm-separation law expects a run to generalise."""
    norm = run.known.curves["weight_norm"]
    now = norm[np.searchsorted(run.known.curves["step"], at, side="right") - 1]
    rate = max(run.known.settings["rate"] * run.known.settings["decay"], 1e-9)
    return -float(np.log10(run.t_mem.step + max(np.log(now**2 / (share * norm[0]) ** 2), 1e-3) / rate))


def entropy_fall(run: Run, at: int) -> float:
    """Return minus the entropy as a share of its first value."""
    until = run.entropy[: np.searchsorted(run.known.curves["step"], at, side="right")]
    known = until[np.isfinite(until)]
    return -float(known[-1] / known[0]) if len(known) and known[0] > 0 else 0.0


def ranked(event: npt.NDArray[np.bool_], score: Array) -> str:
    """Return the area under the curve, or a dash where all runs became the same."""
    return f"{roc_auc_score(event, score):.3f}" if 0 < event.sum() < len(event) else "—"


def halving(runs: Sequence[Run]) -> list[int | None]:
    """Return where successive halving stops each run: at each rung the best quarter goes on."""
    return _rungs(runs, (1 / 16, 1 / 4), 0.75)


def median(runs: Sequence[Run]) -> list[int | None]:
    """Return where the median rule stops each run, asked at every landmark from a sixteenth of the budget on."""
    budget = runs[0].known.budget
    return _rungs(runs, [step / budget for step in landmarks(budget) if step >= budget / 16], 0.5)


def _rungs(runs: Sequence[Run], shares: Iterable[float], quantile: float) -> list[int | None]:
    stops: list[int | None] = [None] * len(runs)
    for share in shares:
        step = int(share * runs[0].known.budget)
        best = np.array([_best(run, step) for run in runs])
        # A run that was stopped before is compared with what it had then.
        line = np.quantile(best, quantile)
        for i, run in enumerate(runs):
            if stops[i] is None and best[i] < line and run.last > step:
                stops[i] = step
    return stops


def _best(run: Run, step: int) -> float:
    accuracy = run.known.curves["val_accuracy"][: np.searchsorted(run.known.curves["step"], step, side="right")]
    return float(np.nanmax(accuracy))


def told(name: str, runs: Sequence[Run], stops: Sequence[int | None]) -> None:
    """Print what stopping saved and cost."""
    taken = sum(run.last for run in runs)
    left = sum(run.last if stop is None else stop for run, stop in zip(runs, stops, strict=True))
    # Stopped before it memorised, a run that would have is no longer told from confusion.
    wrong = sum(
        stop is not None and (run.t_gen.event or (run.t_mem.event and run.t_mem.step > stop))
        for run, stop in zip(runs, stops, strict=True)
    )
    budget = left / sum(run.known.budget for run in runs)
    print(
        f"    {name:<18} saves {1 - left / taken:6.1%} of steps, takes {budget:5.1%} of all budgets; "
        f"{wrong} of {len(runs)} regimes changed ({wrong / len(runs):.1%})"
    )


def main() -> None:
    """Print the comparison, or write what is shipped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ship", action="store_true")
    parser.add_argument("--later", action="store_true")
    options = parser.parse_args()
    kept = sweeps(later=options.later)
    if options.ship:
        forecaster = Forecaster.of_runs(run.known for runs in kept.values() for run in runs)
        forecaster.save(SHIPPED)
        print(f"{SHIPPED}: {len(forecaster.table):,} rows, {SHIPPED.stat().st_size / 1e6:.2f} MB")
        return
    everyone: list[pd.DataFrame] = []
    totals: dict[str, list[int | None]] = {"hazard": [], "median": [], "successive halving": []}
    first = [name for name in kept if name not in LATER]
    asked_of = [name for name in kept if (name in LATER) == options.later]
    for name in asked_of:
        plain = kept[name]
        others = [run for other in first if other != name for run in kept[other]]
        forecaster = Forecaster.of_runs(run.known for run in others)
        runs, stops = in_order(plain, forecaster)
        asked = [(run, at) for run in runs if (at := run.asked_at()) is not None]
        event = np.array([run.t_gen.event for run, _ in asked])
        chance = np.array([forecaster.chances(run.known, at)[1][-1] for run, at in asked])
        said = pd.DataFrame({"event": event, "forecast": chance, "map, five folds": np.nan})
        said["map, in order"] = [run.known.settings["expected"] for run, _ in asked]
        print(f"{name}: {len(runs)} runs; asked of {len(asked)}, of which {event.sum()} generalised")
        print(f"    forecast           AUROC {ranked(event, chance)}, {calibrated(chance, event)}")
        if 0 < event.sum() < len(event):
            known = boosting().fit(settings(others), [run.t_gen.event for run in others])
            across = known.predict_proba(settings([run for run, _ in asked]))[:, 1]
            places = [runs.index(run) for run, _ in asked]
            inside, said["map, five folds"] = within(runs)[places], mapped(runs)[places]
            norms = [
                run.known.curves["weight_norm"][-1] / run.known.curves["weight_norm"][0]
                for run in others
                if run.t_gen.event
            ]
            law = np.array([norm_law(run, at, float(np.median(norms))) for run, at in asked])
            entropy = np.array([entropy_fall(run, at) for run, at in asked])
            print(f"    configuration      AUROC {ranked(event, across)} across sweeps, {ranked(event, inside)} within")
            print(f"    {beside(said)}")
            print(f"    norm separation    AUROC {ranked(event, law)}")
            print(f"    spectral entropy   AUROC {ranked(event, entropy)}")
        everyone.append(said)
        found = {
            "hazard": stops,
            "median": median(runs),
            "successive halving": halving(runs),
        }
        for which, stops in found.items():
            told(which, runs, stops)
            totals[which] += stops
    everything, whole = [run for name in asked_of for run in kept[name]], pd.concat(everyone)
    event, chance = whole["event"].to_numpy(), whole["forecast"].to_numpy()
    print(f"all {len(everything)} runs, each forecast by the other sweeps")
    print(f"    forecast           AUROC {ranked(event, chance)}, {calibrated(chance, event)}")
    print(f"    {beside(whole)}")
    for which, stops in totals.items():
        told(which, everything, stops)


if __name__ == "__main__":
    main()
