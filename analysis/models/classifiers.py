"""Label members of the ensemble: Gaussian-process classifiers, and label propagation on a graph of runs.

Times that jump (a cliff) are smeared by a smooth model of times; labels do not care how far a time jumped. A run whose
regime censoring leaves open is used for what it rules out.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import factorized
from scipy.spatial import cKDTree
from scipy.special import expit, logit, ndtr
from scipy.stats import qmc

from analysis.models.evidence import train
from analysis.models.gaussian_process import Posterior
from analysis.models.kernels import STEEP, Prior
from analysis.models.likelihoods import LOGISTIC, sided
from analysis.models.stages import STAGES, deciding, stage_answers
from analysis.runs.axes import Array
from analysis.runs.run_table import BoolArray

PLAIN = Prior(
    length=(0.7, 3.0),
    amplitude=(3.0, 3.0),
    slope=(1e-3, 0.0),
    noise=(1.0, 0.0),
    constant=0.0,
    one_length=True,
    squared_exponential=True,
)
"""That of a classifier as one types it: one length scale, infinitely smooth, next to nothing assumed of either."""
NEIGHBOURS = 8
REFERENCE = 1024
"""Unlabelled points through which labels spread."""


@dataclass(frozen=True)
class LabelProcess:
    """Gaussian-process classifiers of binary questions about a run, and the regimes' probabilities they make.

    The questions are "this regime or another", one per regime; or, `nested`, the three that make a regime one after the
    other, each asked of the runs it makes sense for: every edge is then one latent's, and none has two sides.
    """

    processes: tuple[Posterior, ...]
    nested: bool = False

    @classmethod
    def fit(
        cls,
        allowed: BoolArray,
        points: Array,
        start: LabelProcess | None = None,
        *,
        prior: Prior = STEEP,
        nested: bool = False,
        learn: bool = True,
    ) -> LabelProcess:
        """Fit to (n, k) allowed classes at feature rows; hyperparameters from `start`, kept unless `learn`."""
        known = allowed.sum(axis=1) == 1
        answers = [(allowed[:, index] & known, ~allowed[:, index]) for index in range(allowed.shape[1])]
        if nested:
            answers = [stage_answers(allowed, stage) for stage in STAGES]
        fitted = []
        for index, (positive, negative) in enumerate(answers):
            rows = np.flatnonzero(positive | negative)
            sign = positive[rows]
            seen = sided(points[rows], sign)
            centre = float(logit((sign.sum() + 0.5) / (len(rows) + 1.0))) if prior.constant else 0.0
            theta = start.processes[index].theta if start is not None else None
            if theta is None:
                theta = prior.centre(points.shape[1])
            if learn and 0 < sign.sum() < len(rows):
                theta = train(seen, centre, prior, theta)
            fitted.append(Posterior(seen, theta, centre, prior))
        return cls(tuple(fitted), nested)

    def latents(self, points: Array) -> tuple[Array, Array]:
        """Return means and variances of the latents, each (n, number of questions)."""
        pairs = [process.predict(points) for process in self.processes]
        return np.column_stack([mean for mean, _ in pairs]), np.column_stack([variance for _, variance in pairs])

    def probabilities(self, latents: tuple[Array, Array], sharpness: float = 1.0) -> Array:
        """Return (n, k) probabilities; `sharpness` is the inverse temperature found on held-out runs."""
        mean, variance = latents
        chance = expit(mean / np.sqrt(1.0 + LOGISTIC * variance))
        if self.nested:
            memorised, generalised, late = chance.T
            reached = memorised * generalised
            chance = np.column_stack(
                [1.0 - memorised, memorised * (1.0 - generalised), reached * late, reached * (1.0 - late)]
            )
        raw = np.maximum(chance, 1e-12) ** sharpness
        return np.asarray(raw / raw.sum(axis=1, keepdims=True))

    def first_side(self, points: Array, first: int, second: int) -> Array:
        """Return (n,): P(the median run at feature rows is in the first of two regimes rather than the second)."""
        mean, variance = self.latents(points)
        if not self.nested:
            gap = mean[:, first] - mean[:, second]
            return np.asarray(ndtr(gap / np.sqrt(variance[:, [first, second]].sum(axis=1))))
        stage = deciding(first, second)
        index = list(STAGES).index(stage)
        yes = ndtr(mean[:, index] / np.sqrt(variance[:, index]))
        return np.asarray(yes if first in STAGES[stage][1] else 1.0 - yes)

    def matching_sharpness(self, points: Array, share: float) -> float:
        """Return the sharpness at which the first class's mean probability at feature rows is nearest to `share`."""
        latents = self.latents(points)
        powers = np.geomspace(1.0, 8.0, 25)
        means = [self.probabilities(latents, float(power))[:, 0].mean() for power in powers]
        return float(powers[int(np.argmin(np.abs(np.array(means) - share)))])

    @property
    def relevance(self) -> Array:
        """Return, per feature, how quickly regimes change along it (mean 1); nothing changes along an idle axis."""
        rates = np.sqrt(np.mean([1.0 / process.kernel.lengths**2 for process in self.processes], axis=0))
        return np.asarray(rates / rates.mean())


@dataclass(frozen=True)
class Propagation:
    """Labels spread over a nearest-neighbour graph of runs and unlabelled points until each is its neighbours' mean."""

    nodes: Array
    values: Array
    scale: Array

    @classmethod
    def fit(cls, allowed: BoolArray, points: Array, scale: Array, seed: int) -> Propagation:
        """Solve for the unlabelled points; `scale` stretches each feature before distances are taken."""
        known = allowed.sum(axis=1) == 1
        labelled = points[known] * scale
        targets = allowed[known].astype(float)
        features = points.shape[1]
        cloud = qmc.Sobol(features, rng=np.random.default_rng(seed)).random(REFERENCE)
        flags = np.all((points == 0) | (points == 1), axis=0)
        # Flags of one run go together: a point has one level of a category.
        cloud[:, flags] = points[np.random.default_rng([seed, 1]).integers(len(points), size=REFERENCE)][:, flags]
        nodes = np.vstack([labelled, cloud * scale])
        distance, neighbour = cKDTree(nodes).query(nodes, k=NEIGHBOURS + 1)
        width = np.median(distance[:, 1:]) + 1e-9
        weight = np.exp(-0.5 * (distance[:, 1:] / width) ** 2) + 1e-6
        rows = np.repeat(np.arange(len(nodes)), NEIGHBOURS)
        graph = sparse.csr_array((weight.ravel(), (rows, neighbour[:, 1:].ravel())), shape=(len(nodes),) * 2)
        graph = graph.maximum(graph.T)
        n, classes = targets.shape
        degree = np.asarray(graph.sum(axis=1)).ravel()
        free = (sparse.diags_array(degree[n:] + 1e-9) - graph[n:, n:]).tocsc()
        solve = factorized(free)
        right = graph[n:, :n] @ targets + 1e-9 / classes
        spread = np.column_stack([solve(right[:, k]) for k in range(classes)])
        values = np.vstack([targets, np.clip(spread, 0.0, 1.0)])
        return cls(nodes, values, scale)

    @functools.cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.nodes)

    def probabilities(self, points: Array) -> Array:
        """Return (n, k): the mean of the nearest nodes, weighted by closeness, never quite 0 or 1."""
        distance, neighbour = self._tree.query(points * self.scale, k=NEIGHBOURS)
        width = np.median(distance[:, -1]) / 2 + 1e-9
        weight = np.exp(-0.5 * (distance / width) ** 2) + 1e-12
        raw = np.einsum("nk,nkc->nc", weight, self.values[neighbour]) / weight.sum(axis=1, keepdims=True)
        raw = 0.01 / raw.shape[1] + 0.99 * raw
        return np.asarray(raw / raw.sum(axis=1, keepdims=True))
