"""Lines between regimes lie where both are equally likely, however little a model's numbers can be told apart there."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.maps import geometry
from analysis.maps.boundaries import BoundaryFinder, regime_pair
from analysis.runs.axes import Axis

AXES = (
    Axis(name="fraction", scale="linear", low=0.2, high=0.9),
    Axis(name="decay", scale="log", low=0.03, high=10.0),
)
PAIR = regime_pair("memorization", "grokking")


class Wavy:
    """A mixture of two regimes along a wavy edge, exact to `noise` in the log-odds, as sums of many terms are."""

    def __init__(self, noise: float) -> None:
        self.noise = noise

    def odds(self, rows: np.ndarray) -> np.ndarray:
        x, y = rows.T[:2]
        smooth = 9.0 * (x - 0.5 - 0.12 * np.sin(5.0 * y)) + 4.0 * (x - 0.5) ** 2
        return smooth + self.noise * np.sin(1e7 * (x + 2.0 * y))

    def mixture(self, rows: np.ndarray) -> np.ndarray:
        first = 1.0 / (1.0 + np.exp(-self.odds(rows)))
        chances = np.zeros((len(rows), 4))
        chances[:, PAIR[0]], chances[:, PAIR[1]] = first, 1.0 - first
        return chances


@pytest.mark.parametrize("noise", [0.0, 1e-12, 1e-9, 1e-7, 1e-5])
def test_a_line_is_where_two_regimes_are_equally_likely_to_the_last_digit_that_counts(noise):
    finder = BoundaryFinder(axes=AXES, ensemble=Wavy(noise))
    across, up = AXES
    units = np.stack(np.meshgrid(np.linspace(0, 1, 41), np.linspace(0, 1, 41)), axis=-1).reshape(-1, 2)
    field = finder.ensemble.odds(units).reshape(41, 41)
    (line,) = finder._polished(geometry.trace(across, up, field, 0.0), AXES, {}, PAIR, field)
    found = np.column_stack([across.unit(line[:, 0]), up.unit(line[:, 1])])
    assert np.abs(finder.ensemble.odds(found)).max() < 1e-6 + 2 * noise
    # A line as smooth as the edge: nowhere does it turn by more than the edge does.
    turns = np.diff(np.unwrap(np.arctan2(*np.diff(found, axis=0).T)))
    assert np.abs(turns).max() < 0.2
