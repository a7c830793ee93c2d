"""Trust in the members: the plain mixture when equal, earned by foretelling, per question."""

import numpy as np
import pytest

from analysis.models.stages import FLOOR, QUESTIONS, deciding, earned_trust, equal_trust, mixed


def chances(n, seed):
    raw = np.random.default_rng(seed).random((n, 4)) + 0.01
    return raw / raw.sum(axis=1, keepdims=True)


def test_equal_trust_is_the_plain_mixture():
    members = {"times": chances(50, 0), "labels": chances(50, 1)}
    assert mixed(members, equal_trust(members)) == pytest.approx((members["times"] + members["labels"]) / 2)


def test_any_trust_gives_probabilities():
    members = {"times": chances(50, 0), "labels": chances(50, 1)}
    trust = {question: {"times": 0.9, "labels": 0.1} for question in QUESTIONS}
    trust["late"] = {"times": 0.1, "labels": 0.9}
    found = mixed(members, trust)
    assert found.sum(axis=1) == pytest.approx(1.0)
    assert (found >= 0).all()


def test_who_is_right_about_one_question_is_trusted_with_that_one():
    truth = np.random.default_rng(0).integers(0, 4, 200)
    allowed = np.eye(4, dtype=bool)[truth]
    sure = np.where(allowed, 0.91, 0.03)
    blurred = sure.copy()
    both = blurred[:, 2] + blurred[:, 3]
    blurred[:, 2] = blurred[:, 3] = both / 2
    trust, answers = earned_trust({"times": blurred, "labels": sure}, allowed, np.ones(200))
    assert trust["late"]["labels"] > 0.9
    assert trust["late"]["times"] == pytest.approx(FLOOR, abs=0.01)
    assert trust["memorised"]["times"] == pytest.approx(trust["generalised"]["times"], abs=0.05)
    assert answers["memorised"] == 2 * (truth == 0).sum()


def test_runs_whose_answer_is_open_test_nobody():
    open_runs = np.tile([False, True, True, True], (30, 1))
    members = {"times": chances(30, 0), "labels": chances(30, 1)}
    trust, answers = earned_trust(members, open_runs, np.ones(30))
    assert answers == {"memorised": 0, "generalised": 0, "late": 0}
    assert trust["late"]["times"] > trust["late"]["labels"]  # the prior alone


def test_two_regimes_are_told_apart_by_one_question():
    assert deciding(0, 3) == "memorised"
    assert deciding(1, 2) == "generalised"
    assert deciding(2, 3) == "late"
    with pytest.raises(ValueError, match="same"):
        deciding(1, 1)
