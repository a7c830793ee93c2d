"""What a run at each of some points would tell of a map's edges, before any of them is trained.

For each stage of a regime (did it memorise, did it generalise, was it late) the nested classifier has a latent whose
zero is the edge. A run at x tells of it by its Fisher information w = P(x reaches the stage) p (1 - p), and takes from
the latent's variance at z

    k(x, z)² w / (1 + w k(x, x)),

with k the latent's posterior covariance. A run's gain is the share of the variance that it takes, summed over points
and stages and weighted by how undecided the map is at z: targeted integrated mean square error (Picheny et al. 2010,
doi 10.1115/1.4001873). The variance does not depend on what a run will say, so runs in flight count as known already.
"""

from __future__ import annotations

import numpy as np

from analysis.models.ensemble import Ensemble
from analysis.models.stages import STAGES
from analysis.runs.axes import Array


class EdgeKnowledge:
    """The latents of the edges at n points, which know more with every point they `learn`."""

    def __init__(self, ensemble: Ensemble, rows: Array) -> None:
        """Take the state of an ensemble at feature rows, (n, features): its equal pool, never too sure of itself."""
        chances, reached = ensemble.pool(rows), np.ones(len(rows))
        self._covariances: list[Array] = []
        self._information: list[Array] = []
        self._weights: list[Array] = []
        for process, (no, yes) in zip(ensemble.labels.processes, STAGES.values(), strict=True):
            for_it, against = (chances[:, list(side)].sum(axis=1) for side in (yes, no))
            chance = (for_it + 1e-6) / (for_it + against + 2e-6)
            covariance = process.covariance(rows)
            undecided = reached * chance * (1.0 - chance)
            self._covariances.append(covariance)
            self._information.append(undecided)
            self._weights.append(undecided / np.maximum(np.diag(covariance), 1e-9))
            reached = reached * chance

    def gains(self) -> Array:
        """Return what a run at each point would tell, (n,), beside what was learned."""
        gains = np.zeros(len(self._weights[0]))
        for covariance, information, weights in zip(self._covariances, self._information, self._weights, strict=True):
            gains += information * (np.square(covariance) @ weights) / (1.0 + information * np.diag(covariance))
        return gains

    def learn(self, index: int) -> None:
        """Count a run at a point as known."""
        for covariance, information in zip(self._covariances, self._information, strict=True):
            column, told = covariance[:, index].copy(), information[index]
            np.subtract(covariance, np.outer(column, column * (told / (1.0 + told * column[index]))), out=covariance)
