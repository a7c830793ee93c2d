"""Local learning coefficient: polynomials whose coefficient is known (Watanabe 2009; Lau et al. 2023)."""

import functools
import math

import pytest
import torch

from grokcore.algebra.landscape import learning_coefficient
from grokcore.measures import local_learning_coefficient as measure

SETTINGS = {"localisation": 1.0, "step": 2e-3, "steps": 12000}


def estimate(loss, dimension, examples=1000):
    at = torch.zeros(1, dimension, dtype=torch.float64)
    return float(learning_coefficient(lambda w: loss(w.unbind(1)), at, torch.tensor([examples]), **SETTINGS))


@functools.cache
def regular(dimension):
    return estimate(lambda w: sum(x**2 for x in w) / 2, dimension)


def by_quadrature(loss, examples=1000, reach=4.0, points=801):
    """Return the same expectation over two weights, by a sum over a fine grid."""
    axis = torch.linspace(-reach, reach, points, dtype=torch.float64)
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    values = loss((x, y))
    heat = examples / math.log(examples)
    weights = torch.exp(-heat * values - 0.5 * (x**2 + y**2))
    return float(heat * (values * weights).sum() / weights.sum())


def test_a_regular_minimum_has_half_its_dimension():
    assert regular(2) == pytest.approx(1.0, rel=0.15)
    assert regular(6) == pytest.approx(3.0, rel=0.15)


@pytest.mark.parametrize(
    ("loss", "known"),
    [
        (lambda w: w[0] ** 4 + w[1] ** 4, 0.5),  # 1/4 each
        (lambda w: (w[0] * w[1]) ** 2, 0.5),  # with multiplicity 2: λ − 1/log n at finite n
    ],
)
def test_degenerate_minima_have_less(loss, known):
    exact = by_quadrature(loss)
    assert exact == pytest.approx(known, abs=0.2)
    found = estimate(loss, 2)
    assert found == pytest.approx(exact, abs=0.08)
    assert found < 0.75 < regular(2)


def test_the_measures_own_chain_has_its_exact_expectation_on_a_quadratic():
    curvature = torch.logspace(-3, 1.5, 400, dtype=torch.float64)
    examples, heat = 1000, 1000 / math.log(1000)
    shrink, variance, total = 1 - measure.STEP / 2 * (heat * curvature + measure.LOCALISATION), 0.0 * curvature, 0.0
    for i in range(measure.STEPS):
        total += float((curvature * variance).sum()) / 2 if i >= measure.STEPS // 5 else 0.0
        variance = shrink**2 * variance + measure.STEP
    exact = heat * total / (measure.STEPS - measure.STEPS // 5)
    found = learning_coefficient(
        lambda w: (w.square() * curvature).sum(1) / 2,
        torch.zeros(1, 400, dtype=torch.float64),
        torch.tensor([examples]),
        localisation=measure.LOCALISATION,
        step=measure.STEP,
        steps=measure.STEPS,
    )
    assert float(found) == pytest.approx(exact, rel=0.1)
    assert exact < 400 / 2, "the pull and the length of the chain leave directions out"
