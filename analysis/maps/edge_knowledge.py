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
        self._stages: list[_Stage] = []
        for process, (no, yes) in zip(ensemble.labels.processes, STAGES.values(), strict=True):
            for_it, against = (chances[:, list(side)].sum(axis=1) for side in (yes, no))
            chance = (for_it + 1e-6) / (for_it + against + 2e-6)
            self._stages.append(_Stage(process.covariance(rows), reached * chance * (1.0 - chance)))
            reached = reached * chance

    def gains(self) -> Array:
        """Return what a run at each point would tell, (n,), beside what was learned."""
        return np.asarray(sum(stage.gains() for stage in self._stages))

    def learn(self, index: int) -> None:
        """Count a run at a point as known."""
        for stage in self._stages:
            stage.learn(index)


class _Stage:
    """One latent, and what a run at each point tells of it.

    With every point learned the covariance C loses a product a u uᵀ, u its column there. What is asked of it are its
    diagonal, a column, and (C ∘ C) w, and these are kept up to date, C itself not: that would be n² numbers written for
    every run, and three times as many read.
    """

    def __init__(self, covariance: Array, information: Array) -> None:
        self._first, self._information = covariance, information
        self._diagonal = np.diag(covariance).copy()
        self._weights = information / np.maximum(self._diagonal, 1e-9)
        # Not by BLAS, whose threads take longer to meet than so little takes; nor do bits depend on their number then.
        self._told = np.einsum("ij,ij,j->i", covariance, covariance, self._weights)
        self._columns: list[Array] = []
        self._shares: list[float] = []

    def gains(self) -> Array:
        """Return what a run at each point would take of the variance, weighted, (n,)."""
        return np.asarray(self._information * self._told / (1.0 + self._information * self._diagonal))

    def learn(self, index: int) -> None:
        """Count a run at a point as known."""
        column, told = self._first[:, index].copy(), self._information[index]
        for u, a in zip(self._columns, self._shares, strict=True):
            column -= a * u[index] * u
        share = float(told / (1.0 + told * column[index]))
        weighted = column * self._weights
        along = np.einsum("ij,j->i", self._first, weighted)
        for u, a in zip(self._columns, self._shares, strict=True):
            along -= a * (u @ weighted) * u
        # (C − a u uᵀ) ∘ (C − a u uᵀ) w = (C ∘ C) w − 2 a u ∘ C (u ∘ w) + a² u² (u² · w)
        square = np.square(column)
        self._told += share * (share * (square @ self._weights) * square - 2.0 * column * along)
        self._diagonal -= share * square
        self._columns.append(column)
        self._shares.append(share)
