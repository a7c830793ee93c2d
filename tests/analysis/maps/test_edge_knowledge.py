"""What runs would tell of edges: conditioning is exact, and what was learned is worth less."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis import RegimeMap
from analysis.maps.edge_knowledge import EdgeKnowledge
from analysis.models.stages import STAGES
from grokcore.records.regimes import RegimeRule


def made(n=12, seed=0):
    """Return an ensemble that knows nothing but its latents' covariances and the regimes' chances, and those."""
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet(np.ones(4), n)
    covariances = [(a @ a.T) / n + 0.1 * np.eye(n) for a in rng.standard_normal((len(STAGES), n, n))]
    processes = [SimpleNamespace(covariance=lambda _, c=c: c.copy()) for c in covariances]
    ensemble = SimpleNamespace(pool=lambda _: chances, labels=SimpleNamespace(processes=processes))
    return ensemble, chances, covariances


def conditioned(chances, covariances, learned):
    """Return, per stage, a run's information, the weights of points, and the covariance once runs were learned."""
    reached, stages = np.ones(len(chances)), []
    for covariance, (no, yes) in zip(covariances, STAGES.values(), strict=True):
        passes = chances[:, list(yes)].sum(axis=1)
        passes = passes / (passes + chances[:, list(no)].sum(axis=1))
        information = reached * passes * (1 - passes)
        known = np.diag(np.bincount(learned, minlength=len(chances)) * information)
        then = np.linalg.inv(np.linalg.inv(covariance) + known)
        stages.append((information, information / np.diag(covariance), then))
        reached = reached * passes
    return stages


def test_gains_after_learning_one_by_one_are_those_of_conditioning_on_all():
    ensemble, chances, covariances = made()
    edges, learned = EdgeKnowledge(ensemble, np.zeros((12, 1))), [3, 5, 3, *range(12)]
    for index in learned:
        edges.learn(index)
    exact = sum(
        information * (then**2 @ weights) / (1 + information * np.diag(then))
        for information, weights, then in conditioned(chances, covariances, learned)
    )
    assert edges.gains() == pytest.approx(exact, rel=1e-3, abs=1e-6)


def test_a_gain_is_the_share_of_variance_that_learning_takes():
    ensemble, chances, covariances = made()
    edges, after = (EdgeKnowledge(ensemble, np.zeros((12, 1))) for _ in range(2))
    after.learn(3)
    stages = zip(conditioned(chances, covariances, [3]), covariances, strict=True)
    taken = sum(weights @ (np.diag(before) - np.diag(then)) for (_, weights, then), before in stages)
    assert edges.gains()[3] == pytest.approx(taken, rel=1e-3)
    assert after.gains()[3] < edges.gains()[3]


def test_runs_at_the_edge_tell_more_than_those_far_from_it():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"fraction": rng.uniform(0.2, 0.9, 48), "decay": 10 ** rng.uniform(-2, 1, 48)})
    late = frame["fraction"] < 0.5
    frame = frame.assign(t_mem=60, t_mem_event=True, t_gen=np.where(late, 3000, 90), t_gen_event=~late)
    fitted = RegimeMap.fit(
        frame,
        {"fraction": "linear", "decay": "log"},
        rule=RegimeRule(budget=3000, ratio=5),
        box={"fraction": (0.2, 0.9)},
    )
    points = pd.DataFrame({"fraction": np.linspace(0.35, 0.65, 25), "decay": 0.3})
    ((rows, edges),) = fitted.edge_knowledge(points)
    assert rows.tolist() == list(range(25))
    gains = edges.gains()
    assert abs(points["fraction"][int(np.argmax(gains))] - 0.5) < 0.05
    assert gains.max() > 3 * max(gains[0], gains[-1])
