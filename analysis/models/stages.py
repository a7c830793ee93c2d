"""The three stages that make a regime, and the weight of each member of the ensemble in each.

Did it memorise? If so, did it generalise? If so, was it late? A member may be right about one edge and wrong about
another (a delay that jumps beside a smooth t_mem), so it has a weight for every stage.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from analysis.runs.axes import Array
from analysis.runs.run_table import BoolArray

STAGES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "memorised": ((0,), (1, 2, 3)),
    "generalised": ((1,), (2, 3)),
    "late": ((3,), (2,)),
}
"""Per stage, the regimes (indices into `REGIMES`) of a no and of a yes."""
FLOOR = 0.005
"""Smallest weight of a member: what predicted held-out runs badly so far may be right elsewhere."""
PRIOR = {"times": 6.0, "labels": 1.5, "plain": 1.0, "propagation": 0.1, "law": 1.0}
"""Odds of the members before any run was predicted: what they deserved on many diagrams with few runs."""
SMALLEST = 1e-3
"""Chance below which what did happen costs a member no more."""
StageWeights = dict[str, dict[str, float]]
"""Weight of each member for each stage; sums to one over the members."""


def stage_answers(allowed: BoolArray, stage: str) -> tuple[BoolArray, BoolArray]:
    """Return which runs, by what they are allowed to be, pass a stage, and which do not."""
    no, yes = STAGES[stage]
    others = [index for index in range(allowed.shape[1]) if index not in no + yes]
    asked = ~allowed[:, others].any(axis=1)
    is_yes, is_no = (asked & ~allowed[:, list(side)].any(axis=1) for side in (no, yes))
    return np.asarray(is_yes), np.asarray(is_no)


def deciding(first: int, second: int) -> str:
    """Return the stage that tells two regimes apart."""
    for name, (no, yes) in STAGES.items():
        if (first in no and second in yes) or (second in no and first in yes):
            return name
    raise ValueError(f"regimes {first} and {second} are the same.")


def equal_weights(members: Mapping[str, Array] | tuple[str, ...]) -> StageWeights:
    """Return the same weight for every member and stage."""
    return {stage: {name: 1.0 / len(members) for name in members} for stage in STAGES}


def mixed(members: Mapping[str, Array], stage_weights: StageWeights) -> Array:
    """Return (n, 4): the members' (n, 4) probabilities mixed stage by stage.

    Within a stage a member counts by its weight and by the probability it gives to a run reaching the stage at all;
    with the same weights for every stage this is the plain mixture.
    """
    some = next(iter(members.values()))
    result, reached = np.zeros_like(some), np.ones(len(some))
    for stage, (no, yes) in STAGES.items():
        weight = stage_weights[stage]
        chance = sum(weight[name] * p[:, list(yes)].sum(axis=1) for name, p in members.items())
        against = sum(weight[name] * p[:, list(no)].sum(axis=1) for name, p in members.items())
        share = np.asarray((chance + 1e-12) / (chance + against + 2e-12))
        result[:, no[0]] = reached * (1.0 - share)
        reached = reached * share
    result[:, STAGES["late"][1][0]] = reached
    return result


def earned_weights(
    held_out: Mapping[str, Array], allowed: BoolArray, discounts: Array
) -> tuple[StageWeights, dict[str, int]]:
    """Return weights, prior odds times exp(discounted log score), per stage, and how many runs put it to the test.

    `held_out` holds members' (n, 4) probabilities for runs they had not seen, `allowed` what those runs may be,
    `discounts` the value of each. A stage that all runs pass alike tests nobody: counted is twice the rarer answer.
    """
    stage_weights: StageWeights = {}
    tested: dict[str, int] = {}
    for stage, (no, yes) in STAGES.items():
        is_yes, is_no = stage_answers(allowed, stage)
        answered = is_yes | is_no
        scores = {}
        for name, p in held_out.items():
            chance = _passing(p, no, yes)
            given = np.clip(np.where(is_yes, chance, 1.0 - chance), SMALLEST, 1.0)
            scores[name] = float(discounts[answered] @ np.log(given[answered])) + np.log(PRIOR[name])
        best = max(scores.values())
        raw = {name: np.exp(score - best) for name, score in scores.items()}
        total = sum(raw.values())
        spare = 1.0 - FLOOR * len(raw)
        stage_weights[stage] = {name: FLOOR + spare * float(odds / total) for name, odds in raw.items()}
        tested[stage] = 2 * int(min(is_yes.sum(), is_no.sum()))
    return stage_weights, tested


def scores_of_runs(predicted: Array, allowed: BoolArray, scored: npt.NDArray[np.intp], count: int) -> Array:
    """Return (count,) mean log probability of what each run may be; NaN for runs that were never held out."""
    logs = np.log(np.maximum((predicted * allowed).sum(axis=1), 1e-4))
    times = np.bincount(scored, minlength=count)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(scored, weights=logs, minlength=count) / times)


def sharpened(probabilities: Array, powers: Mapping[str, float]) -> Array:
    """Return (n, 4) probabilities with the odds of each stage raised to a power of its own; 1 where none is given."""
    result, reached = np.zeros_like(probabilities), np.ones(len(probabilities))
    for stage, (no, yes) in STAGES.items():
        chance = expit(powers.get(stage, 1.0) * logit(_passing(probabilities, no, yes)))
        result[:, no[0]] = reached * (1.0 - chance)
        reached = reached * chance
    result[:, STAGES["late"][1][0]] = reached
    return result


def best_sharpness(probabilities: Array, allowed: BoolArray, discounts: Array) -> dict[str, float]:
    """Return per stage the power of its odds of highest log score, drawn to one as if by a few more runs.

    A model may be half as sure as it is right of one edge, and too sure of another.
    """
    return {
        stage: _best_power(_passing(probabilities, no, yes), *stage_answers(allowed, stage), discounts)
        for stage, (no, yes) in STAGES.items()
    }


def _best_power(chances: Array, passed: BoolArray, failed: BoolArray, discounts: Array) -> float:
    answered = passed | failed
    odds, weight = logit(chances[answered]) * np.where(passed[answered], 1.0, -1.0), discounts[answered]

    def loss(log_power: float) -> float:
        given = np.maximum(expit(np.exp(log_power) * odds), SMALLEST)
        return float(-weight @ np.log(given) + 0.5 * log_power**2)

    return float(np.exp(minimize_scalar(loss, bounds=(-1.0, 2.5), method="bounded").x))


def _passing(probabilities: Array, no: tuple[int, ...], yes: tuple[int, ...]) -> Array:
    """Return (n,): the chance to pass a stage of a run that reaches it."""
    chance, against = (probabilities[:, list(side)].sum(axis=1) for side in (yes, no))
    return np.asarray((chance + 1e-6) / (chance + against + 2e-6))
