"""The latent process: its gradient, its agreement with exact regression, and what censoring does to it."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from analysis.models import gaussian_process
from analysis.models.classifiers import PLAIN
from analysis.models.evidence import Evidence, train, trained
from analysis.models.gaussian_process import Posterior
from analysis.models.kernels import Kernel, Prior
from analysis.models.likelihoods import Observations


def observations(n=40, seed=0, above=None):
    rng = np.random.default_rng(seed)
    points = rng.random((n, 2))
    value = np.sin(3 * points[:, 0]) + points[:, 1] + 0.1 * rng.standard_normal(n)
    low, high = value.copy(), value.copy()
    if above is not None:
        cut = value > above
        low[cut], high[cut] = above, np.inf
    return Observations(points=points, low=low, high=high, blur=np.full(n, 0.02))


@pytest.mark.parametrize("prior", [Prior(), PLAIN])
def test_the_evidence_has_the_gradient_it_says(prior):
    seen = observations(above=1.0)
    low = seen.low.copy()
    low[:5] = -np.inf
    seen = Observations(points=seen.points, low=low, high=np.where(np.arange(40) < 5, 0.7, seen.high), blur=seen.blur)
    evidence = Evidence(seen, 0.5, prior)
    step = np.array([0.2, -0.3, 0.1, 0.2, 0.3])[: len(prior.spread(2))]
    numeric = approx_fprime(step, lambda t: evidence(t)[0], 1e-5)
    assert evidence(step)[1] == pytest.approx(numeric, abs=2e-2, rel=1e-3)


def test_the_evidence_of_a_step_has_the_gradient_it_says():
    seen = observations(above=1.0)
    evidence = Evidence(seen, 0.5, Prior(), (seen.points[:, 0] > 0.5).astype(float))
    step = np.array([0.2, -0.3, 0.1, 0.2, 0.3])
    evidence(step)  # the mode is found from the one before, and numeric differences are taken from the first
    numeric = approx_fprime(step, lambda t: evidence(t)[0], 1e-5)
    assert evidence(step)[1] == pytest.approx(numeric, abs=2e-2, rel=1e-3)


def test_what_the_others_tell_of_a_point_is_regression_without_it():
    seen = observations()
    found = trained(seen, 0.5, Prior())
    for left in (0, 7, 23):
        others = seen.rows(np.delete(np.arange(40), left))
        mean, variance = Posterior(others, found.theta, 0.5, Prior()).predict(seen.points[[left]])
        assert found.mean[left] == pytest.approx(mean[0], abs=1e-4)
        assert found.variance[left] == pytest.approx(variance[0], abs=1e-4)


def test_told_by_nothing_it_is_the_prior_and_nothing_is_printed(capfd):
    theta = Prior().centre(2)
    nothing = Posterior(observations().rows(np.arange(0)), theta, 0.5, Prior())
    points = observations(5).points
    mean, variance = nothing.predict(points)
    assert mean == pytest.approx(np.full(5, 0.5))
    assert variance == pytest.approx(Kernel.of(theta, Prior()).diagonal(points), rel=1e-3)
    assert capfd.readouterr() == ("", "")


def test_without_censoring_the_posterior_is_that_of_exact_regression():
    seen = observations()
    theta = Prior().centre(2)
    kernel = Kernel.of(theta, Prior())
    grid = np.random.default_rng(1).random((50, 2))
    noise = kernel.noise**2 + seen.blur**2
    solve = np.linalg.solve(kernel(seen.points, seen.points) + np.diag(noise), np.eye(40))
    cross = kernel(grid, seen.points)
    mean, variance = Posterior(seen, theta, 0.5, Prior()).predict(grid)
    assert mean == pytest.approx(0.5 + cross @ solve @ (seen.low - 0.5), abs=1e-5)
    assert variance == pytest.approx(kernel.diagonal(grid) - np.einsum("ij,jk,ik->i", cross, solve, cross), abs=1e-5)


def test_a_censored_value_pulls_up_and_a_dropped_one_does_not():
    full, cut = observations(200), observations(200, above=1.2)
    kept = cut.rows(np.flatnonzero(np.isfinite(cut.high)))
    theta = train(full, 0.5, Prior())
    top = full.points[full.low > 1.35]
    truth = np.sin(3 * top[:, 0]) + top[:, 1]
    censored, dropped = (Posterior(seen, theta, 0.5, Prior()).predict(top)[0] for seen in (cut, kept))
    assert np.mean(censored - truth) > np.mean(dropped - truth)
    assert abs(np.mean(censored - truth)) < abs(np.mean(dropped - truth))


def test_the_fitted_noise_is_the_noise():
    noise = np.exp(train(observations(200, above=1.5), 0.5, Prior())[-1])
    assert noise == pytest.approx(0.1, rel=0.2)


def test_a_chosen_basis_agrees_with_all_points(monkeypatch):
    seen = observations(300)
    theta = train(seen, 0.5, Prior())
    grid = np.random.default_rng(2).random((200, 2))
    exact = Posterior(seen, theta, 0.5, Prior()).predict(grid)
    monkeypatch.setattr(gaussian_process, "EXACT", 80)
    chosen = Posterior(seen, theta, 0.5, Prior())
    assert len(chosen.basis) == 80
    assert chosen.predict(grid)[0] == pytest.approx(exact[0], abs=0.05)


def test_one_class_of_labels_and_one_point_are_enough():
    one = Observations(points=np.array([[0.5]]), low=np.zeros(1), high=np.array([np.inf]), blur=np.zeros(1))
    prior = Prior(noise=(1.0, 0.0))
    mean, variance = Posterior(one, train(one, 0.0, prior), 0.0, prior).predict(np.array([[0.5], [0.0]]))
    assert mean[0] > 0
    assert np.isfinite(variance).all()
