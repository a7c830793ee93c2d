"""Sobol points are SciPy's, bit for bit, in stretches as in one."""

import warnings

import numpy as np
import pytest
from scipy.stats import qmc

from grokcore.algebra.sobol_points import MOST, SobolPoints, sobol_points
from grokcore.errors import DataError


@pytest.mark.parametrize("dimensions", [1, 2, 3, 8, 40, MOST])
@pytest.mark.parametrize("count", [1, 2, 100, 1024])
def test_they_are_those_of_scipy(dimensions, count):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that 100 points are not balanced
        known = qmc.Sobol(dimensions, rng=np.random.default_rng([3, count])).random(count)
        by_seed = qmc.Sobol(dimensions, rng=7).random(count)
    assert np.array_equal(sobol_points(dimensions, np.random.default_rng([3, count]), count), known)
    assert np.array_equal(sobol_points(dimensions, 7, count), by_seed)


def test_a_stretch_is_the_same_whatever_was_asked_for_before():
    points = SobolPoints(3, 0)
    whole = points.between(0, 300)
    assert np.array_equal(np.vstack([points.between(0, 7), points.between(7, 300)]), whole)
    assert points.between(5, 5).shape == (0, 3)


def test_more_axes_than_there_are_numbers_for_are_refused():
    with pytest.raises(DataError, match="too many for Sobol points"):
        sobol_points(MOST + 1, 0, 4)
