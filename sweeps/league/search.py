"""Search: a method's best setting on a problem at one fraction, by as many trials as the baseline has, and its final.

Trials are chosen by Optuna's TPE in waves, each judged on one seed; the best of them are judged again on more seeds, so
that the setting which enters the final is not the one with the luckiest seed. The final's seeds are new ones.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from grokcore.errors import ConfigError
from grokcore.optimizers.base import OPTIMIZERS
from grokcore.records.regimes import RegimeRule
from grokcore.run_config import RunConfig, flatten
from grokcore.transfer import save_embedding
from sweeps.league.entries import BASELINE, Method, Problem
from sweeps.league.ledger import Ledger
from sweeps.league.plan import THRESHOLD, TUNING_SEED, Plan
from sweeps.samplers.base import Problem as Asked
from sweeps.samplers.tpe import Tpe
from sweeps.spec.space import Choice, Space

DONORS = Path("results") / "league" / "donors"
"""Where embeddings lie that runs begin with."""

LENGTHS = {"optimizer.schedule": "optimizer.schedule_steps", "optimizer.decay_schedule": "optimizer.decay_steps"}
"""Schedules and their lengths: one that is not constant goes over the problem's whole budget."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """A method on a problem at one fraction."""

    method: Method
    """The method, with what it tunes of the baseline's."""
    problem: Problem
    """The problem."""
    fraction: float
    """Share of the data."""

    @property
    def where(self) -> dict[str, Any]:
        """Return the columns that name its runs."""
        return {"problem": self.problem.name, "fraction": self.fraction}

    @property
    def space(self) -> Space:
        """Return what all its runs share and what is tuned."""
        fixed = {**self.problem.run, "steps": self.problem.steps, "fraction": self.fraction, **self.method.run}
        return Space.of(fixed, self.method.space)

    def config(self, values: Mapping[str, Any], seed: int, **changes: Any) -> RunConfig:
        """Return the run of these settings and seed; raises `ConfigError` where the method does not fit the problem."""
        flat = {**flatten(self.space.run), **values, "seed": seed, **changes}
        for schedule, length in LENGTHS.items():
            if flat.get(schedule, "constant") != "constant":
                flat.setdefault(length, self.problem.steps)
        return RunConfig.from_dict(flat)

    def first(self) -> dict[str, Any]:
        """Return the setting that is tried first: what the method's file says, the first or middle value elsewhere."""
        middle = {
            name: side.value(side.grid(3)[0 if isinstance(side, Choice) else 1])
            for name, side in self.space.dimensions.items()
        }
        return middle | {name: value for name, value in self.method.first.items() if name in middle}

    def misfit(self) -> str | None:
        """Return why the method cannot be tried on the problem; None if it can."""
        model = self.problem.run["model.name"]
        if self.method.models and model not in self.method.models:
            return f"it is for {', '.join(self.method.models)}, and the network is {model}."
        try:
            self.config(self.first(), 0)
            donor = self.config(self.first(), 0, **self.method.donor)
        except ConfigError as error:
            return str(error)
        if self.method.donor and "embedding" not in donor.model.shapes(donor.task):
            return "the model has no embedding to begin with."
        return None


def completed(method: Method, baseline: Method) -> Method:
    """Return a method with all of the baseline's that it neither sets nor tunes itself, and that its optimizer has."""
    if method.name == BASELINE:
        return method
    optimizer = OPTIMIZERS.member(str(method.run.get("optimizer.name", baseline.run["optimizer.name"])))
    own = set(method.run) | set(method.space)
    fields = {f"optimizer.{field.name}" for field in dataclasses.fields(optimizer)}

    def missing(values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: value
            for name, value in values.items()
            if name not in own and (name in fields or not name.startswith("optimizer."))
        }

    return dataclasses.replace(
        method,
        run={**baseline.run, **method.run},
        space=missing(baseline.space) | dict(method.space),
        first=missing(baseline.first) | dict(method.first),
    )


def contest(cell: Cell, plan: Plan, ledger: Ledger) -> dict[str, Any]:
    """Tune a method and run its final, what is there already apart; return the best setting."""
    values = best(cell, plan, ledger)
    _train(cell, ledger, "final", [(values, seed) for seed in range(plan.seeds)])
    return values


def best(cell: Cell, plan: Plan, ledger: Ledger) -> dict[str, Any]:
    """Return the best setting of a plan's trials."""
    scored = sorted(_trials(cell, plan, ledger), key=lambda trial: trial[0])[: plan.finalists]
    seeds = [TUNING_SEED + 1 + place for place in range(plan.finalist_seeds)]
    rows = _train(cell, ledger, "finalists", [(values, seed) for _, values in scored for seed in seeds])
    scores = [
        math.fsum([score, *(_score(row, cell.problem.steps) for row in rows[place * len(seeds) :][: len(seeds)])])
        for place, (score, _) in enumerate(scored)
    ]
    return scored[scores.index(min(scores))][1]


def _trials(cell: Cell, plan: Plan, ledger: Ledger) -> Iterator[tuple[float, dict[str, Any]]]:
    """Yield each trial's score and setting, each setting once."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = cell.space
    rule = RegimeRule(threshold=THRESHOLD, budget=cell.problem.steps, ratio=1.0)
    seed = zlib.crc32(f"{cell.method.name} {cell.problem.name} {cell.fraction}".encode())
    asked = Asked(dimensions=space.dimensions, rule=rule, runs=plan.trials, seed=seed)
    study = optuna.create_study(sampler=Tpe(startup=plan.wave).build(asked))
    study.enqueue_trial({name: _param(value) for name, value in cell.first().items()})
    seen: set[str] = set()
    for begun in range(0, plan.trials, plan.wave):
        trials = [study.ask(space.distributions) for _ in range(min(plan.wave, plan.trials - begun))]
        settings = [
            {name: side.value(trial.params[name]) for name, side in space.dimensions.items()} for trial in trials
        ]
        rows = _train(cell, ledger, "trials", [(values, TUNING_SEED) for values in settings])
        for trial, values, row in zip(trials, settings, rows, strict=True):
            score = _score(row, cell.problem.steps)
            study.tell(trial, score)
            if row["run_id"] not in seen:
                seen.add(row["run_id"])
                yield score, values


def _param(value: Any) -> Any:
    """Return a value as Optuna's categories have it."""
    return json.dumps(value, sort_keys=True) if isinstance(value, (list, Mapping)) else value


def _score(row: Mapping[str, Any], budget: int) -> float:
    """Return ln of the time to stay above the threshold; where it did not, more than ln of the budget."""
    if row["event"]:
        return math.log(max(row["step"], 1))
    return math.log(budget) + (2.0 if row["outcome"] == "diverged" else 1.0 - float(row["last"]))


def _train(cell: Cell, ledger: Ledger, stage: str, runs: Sequence[tuple[dict[str, Any], int]]) -> list[dict[str, Any]]:
    """Return the rows of runs of these settings and seeds."""
    configs, before = prepared(cell, ledger, [(values, seed, {}) for values, seed in runs])
    return ledger.train(configs, before=before, stage=stage, **cell.where)


def prepared(
    cell: Cell, ledger: Ledger, runs: Sequence[tuple[Mapping[str, Any], int, Mapping[str, Any]]]
) -> tuple[list[RunConfig], dict[str, float]]:
    """Return the runs of settings, seeds and changes, and the core-seconds that were spent before each, by identity.

    Where a method begins with the embedding of a smaller network, that is trained first. A kept run began with what was
    trained on its own processor, which may differ in the last bits from what this one would train: it is found by it.
    """
    if not cell.method.donor:
        return [cell.config(values, seed, **changes) for values, seed, changes in runs], {}
    embeddings = _embeddings(ledger)
    configs, before = [], dict[str, float]()
    for values, seed, changes in runs:
        donor = cell.config(cell.first(), seed, **changes, **cell.method.donor)
        path = DONORS / f"{donor.run_id}.npy"
        begins = {"initialisation.name": "transferred", "initialisation.path": str(path)}
        there = (
            cell.config(values, seed, **changes, **begins, **{"initialisation.sha256": sha256})
            for sha256 in embeddings.get(str(path), ())
        )
        config = next((one for one in there if one.run_id in ledger.rows), None)
        if config is None:
            spent = _donate(donor, path)
            config = cell.config(values, seed, **changes, **begins)
            before[config.run_id] = spent
        configs.append(config)
    return configs, before


def _embeddings(ledger: Ledger) -> dict[str, set[str]]:
    """Return what kept runs began with: hashes by path."""
    found: dict[str, set[str]] = {}
    for row in ledger.rows.values():
        settings = json.loads(row["settings"])
        if path := settings.get("initialisation.path"):
            found.setdefault(path, set()).add(settings["initialisation.sha256"])
    return found


def _donate(donor: RunConfig, path: Path) -> float:
    """Train a smaller network for its embedding, unless that is there; return the core-seconds that it took."""
    cost = path.with_suffix(".json")
    if not (path.exists() and cost.exists()):
        path.parent.mkdir(parents=True, exist_ok=True)
        begun = time.process_time()
        save_embedding(donor, path)
        cost.write_text(json.dumps(time.process_time() - begun), encoding="utf-8")
    return float(json.loads(cost.read_text(encoding="utf-8")))
