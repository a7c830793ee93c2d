"""Weights of the members: the plain mixture when equal, earned by predicting held-out runs, per stage."""

import numpy as np
import pytest

from analysis.models.stages import (
    FLOOR,
    STAGES,
    best_sharpness,
    deciding,
    earned_weights,
    equal_weights,
    mixed,
    sharpened,
)


def chances(n, seed):
    raw = np.random.default_rng(seed).random((n, 4)) + 0.01
    return raw / raw.sum(axis=1, keepdims=True)


def test_equal_weights_is_the_plain_mixture():
    members = {"times": chances(50, 0), "labels": chances(50, 1)}
    assert mixed(members, equal_weights(members)) == pytest.approx((members["times"] + members["labels"]) / 2)


def test_any_weights_gives_probabilities():
    members = {"times": chances(50, 0), "labels": chances(50, 1)}
    stage_weights = {stage: {"times": 0.9, "labels": 0.1} for stage in STAGES}
    stage_weights["late"] = {"times": 0.1, "labels": 0.9}
    found = mixed(members, stage_weights)
    assert found.sum(axis=1) == pytest.approx(1.0)
    assert (found >= 0).all()


def test_who_is_right_about_one_stage_has_the_weight_there():
    truth = np.random.default_rng(0).integers(0, 4, 200)
    allowed = np.eye(4, dtype=bool)[truth]
    sure = np.where(allowed, 0.91, 0.03)
    blurred = sure.copy()
    both = blurred[:, 2] + blurred[:, 3]
    blurred[:, 2] = blurred[:, 3] = both / 2
    stage_weights, tested = earned_weights({"times": blurred, "labels": sure}, allowed, np.ones(200))
    assert stage_weights["late"]["labels"] > 0.9
    assert stage_weights["late"]["times"] == pytest.approx(FLOOR, abs=0.01)
    assert stage_weights["memorised"]["times"] == pytest.approx(stage_weights["generalised"]["times"], abs=0.05)
    assert tested["memorised"] == 2 * (truth == 0).sum()


def test_each_stage_is_as_sure_as_it_is_right():
    """Half as sure as right of one stage and twice of another, a member is corrected in both."""
    rng = np.random.default_rng(3)
    fair = rng.dirichlet(np.full(4, 0.5), 3000)
    allowed = np.eye(4, dtype=bool)[(rng.random(3000)[:, None] > fair.cumsum(axis=1)).sum(axis=1)]
    wrong = {"memorised": 0.5, "generalised": 1.0, "late": 2.0}
    found = best_sharpness(sharpened(fair, wrong), allowed, np.ones(3000))
    for stage, power in wrong.items():
        assert found[stage] == pytest.approx(1 / power, rel=0.15)
    assert sharpened(sharpened(fair, wrong), {s: 1 / p for s, p in wrong.items()}) == pytest.approx(fair, abs=2e-3)
    assert sharpened(fair, {}) == pytest.approx(fair, abs=1e-5)


def test_runs_whose_regime_is_open_test_nobody():
    open_runs = np.tile([False, True, True, True], (30, 1))
    members = {"times": chances(30, 0), "labels": chances(30, 1)}
    stage_weights, tested = earned_weights(members, open_runs, np.ones(30))
    assert tested == {"memorised": 0, "generalised": 0, "late": 0}
    assert stage_weights["late"]["times"] > stage_weights["late"]["labels"]  # the prior alone


def test_two_regimes_are_told_apart_by_one_stage():
    assert deciding(0, 3) == "memorised"
    assert deciding(1, 2) == "generalised"
    assert deciding(2, 3) == "late"
    with pytest.raises(ValueError, match="same"):
        deciding(1, 1)
