"""The three questions that make a regime, and how much each member of the panel is trusted with each.

Did it memorise? If so, did it generalise? If so, was it late? A member may be right about one edge and wrong about
another (a delay that jumps beside a smooth t_mem), so it is weighed question by question.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.runs.axes import Array
from analysis.runs.run_table import BoolArray

QUESTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "memorised": ((0,), (1, 2, 3)),
    "generalised": ((1,), (2, 3)),
    "late": ((3,), (2,)),
}
"""Per question, the regimes (indices into `REGIMES`) of a no and of a yes."""
FLOOR = 0.005
"""Smallest weight of a member: what foretold badly so far may be right elsewhere."""
PRIOR = {"times": 6.0, "labels": 1.5, "plain": 1.0, "propagation": 0.1, "law": 1.0}
"""Odds of the members before any run was foretold: what they were worth on many diagrams with few runs."""
Trust = dict[str, dict[str, float]]
"""Weight of each member for each question; sums to one over the members."""


def answers_of(allowed: BoolArray, question: str) -> tuple[BoolArray, BoolArray]:
    """Return which runs, by what they are allowed to be, answer a question with yes, and which with no."""
    no, yes = QUESTIONS[question]
    others = [index for index in range(allowed.shape[1]) if index not in no + yes]
    asked = ~allowed[:, others].any(axis=1)
    is_yes, is_no = (asked & ~allowed[:, list(side)].any(axis=1) for side in (no, yes))
    return np.asarray(is_yes), np.asarray(is_no)


def deciding(first: int, second: int) -> str:
    """Return the question that tells two regimes apart."""
    for name, (no, yes) in QUESTIONS.items():
        if (first in no and second in yes) or (second in no and first in yes):
            return name
    raise ValueError(f"regimes {first} and {second} are the same.")


def equal_trust(members: Mapping[str, Array] | tuple[str, ...]) -> Trust:
    """Return the same weight for every member and question."""
    return {question: {name: 1.0 / len(members) for name in members} for question in QUESTIONS}


def mixed(members: Mapping[str, Array], trust: Trust) -> Array:
    """Return (n, 4): the members' (n, 4) probabilities mixed question by question.

    Within a question a member counts by its weight and by the probability it gives to the question being asked at all;
    with the same weights for every question this is the plain mixture.
    """
    some = next(iter(members.values()))
    result, reached = np.zeros_like(some), np.ones(len(some))
    for question, (no, yes) in QUESTIONS.items():
        weight = trust[question]
        chance = sum(weight[name] * p[:, list(yes)].sum(axis=1) for name, p in members.items())
        against = sum(weight[name] * p[:, list(no)].sum(axis=1) for name, p in members.items())
        share = np.asarray((chance + 1e-12) / (chance + against + 2e-12))
        result[:, no[0]] = reached * (1.0 - share)
        reached = reached * share
    result[:, QUESTIONS["late"][1][0]] = reached
    return result


def earned_trust(foretold: Mapping[str, Array], allowed: BoolArray, worth: Array) -> tuple[Trust, dict[str, int]]:
    """Return weights, prior odds times exp(discounted log score), per question, and how many runs put it to the test.

    `foretold` holds members' (n, 4) probabilities for runs they had not seen, `allowed` what those runs may be, `worth`
    the discount of each. A question that all runs answer alike tests nobody: counted is twice the rarer answer.
    """
    trust: Trust = {}
    answers: dict[str, int] = {}
    for question, (no, yes) in QUESTIONS.items():
        is_yes, is_no = answers_of(allowed, question)
        answered = is_yes | is_no
        scores = {}
        for name, p in foretold.items():
            chance = (p[:, list(yes)].sum(axis=1) + 1e-6) / (p[:, list(no + yes)].sum(axis=1) + 2e-6)
            given = np.clip(np.where(is_yes, chance, 1.0 - chance), 1e-3, 1.0)
            scores[name] = float(worth[answered] @ np.log(given[answered])) + np.log(PRIOR[name])
        best = max(scores.values())
        raw = {name: np.exp(score - best) for name, score in scores.items()}
        total = sum(raw.values())
        trust[question] = {name: FLOOR + (1.0 - FLOOR * len(raw)) * float(value / total) for name, value in raw.items()}
        answers[question] = 2 * int(min(is_yes.sum(), is_no.sum()))
    return trust, answers
