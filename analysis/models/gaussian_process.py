"""A Gaussian process seen through noise and censoring: the one engine under milestone times and label probabilities.

Each observation says that a noisy value is known (``low == high``), above ``low`` (``high = inf``) or below ``high``
(``low = -inf``). A time that a run did not reach is the second kind; a label "is / is not this regime" is the second or
third at zero with logistic noise, that is a classifier. Inference is Laplace's approximation (Rasmussen and
Williams 2006, chapters 3 and 5); beyond `EXACT` rows it works on a chosen basis and keeps the residual variance (FITC).
"""

from __future__ import annotations

import functools

import numpy as np
from scipy.linalg import cho_solve, cholesky, eigh, solve_triangular
from scipy.linalg.blas import dsyrk

from analysis.models.evidence import JITTER, spread_rows
from analysis.models.kernels import Array, Kernel, Prior
from analysis.models.likelihoods import Observations, likelihood
from analysis.models.memo import Memo

EXACT = 500
"""Rows up to which every row is its own basis point."""
GAIN = 1e-9
"""Gain in log likelihood for each row from which a step of Newton's method is worth another."""
QUICK = 0.1
"""Gain of a step, as a share of the one before, above which the curvature is computed anew."""
TURNS = 100
"""Steps at most."""
SAMPLED = 5000
"""Rows from which the search for the most likely latent begins where there are more than twice as many."""
REMEMBERED = 2**20
"""Bytes of predictions that a posterior keeps: those at the points of two or three grids."""
BLOCK = 1024
"""Points that are predicted at a time, so that their covariances stay in a core's cache."""
INFORMED = 1e-6
"""Share of a direction's prior variance that the observations must have taken away for it to be looked at."""


class Posterior:
    """The latent given the observations: `predict` gives its mean and variance anywhere, noise not included."""

    def __init__(self, seen: Observations, theta: Array, centre: float, prior: Prior) -> None:
        self.theta, self.centre, self.kernel = theta, centre, Kernel.of(theta, prior)
        basis = np.unique(seen.points, axis=0)
        if len(basis) > EXACT:
            basis = basis[spread_rows(basis / self.kernel.lengths, EXACT)]
        self.basis = basis
        K = self.kernel(basis, basis)
        K[np.diag_indices_from(K)] += JITTER * (1.0 + np.diag(K))
        self._root = cholesky(K, lower=True, check_finite=False)
        self._v, self._hessian = self._fit(seen)
        self._memo = Memo(REMEMBERED)

    def _coordinates(self, points: Array) -> Array:
        """Return (m, n): the latent at `points` is centre + coordinatesᵀ v with v standard normal, plus a residual."""
        K = self.kernel(self.basis, points)
        return np.asarray(solve_triangular(self._root, K, lower=True, overwrite_b=True, check_finite=False))

    def _fit(self, seen: Observations) -> tuple[Array, Array]:
        A = self._coordinates(seen.points)
        rest = np.maximum(self.kernel.diagonal(seen.points) - np.einsum("ij,ij->j", A, A), 0.0)
        v, rows = np.zeros(len(self.basis)), len(seen.low)
        if not rows:  # nothing was seen: the prior itself, and BLAS would complain of an empty table
            return v, np.eye(len(v))
        if rows > 2 * SAMPLED:
            some = np.sort(np.random.default_rng(0).choice(rows, SAMPLED, replace=False))
            v, _ = self._climb(seen.rows(some), A[:, some], rest[some], v, rows / SAMPLED)
        return self._climb(seen, A, rest, v)

    def _climb(self, seen: Observations, A: Array, rest: Array, v: Array, each: float = 1.0) -> tuple[Array, Array]:
        """Return the top of the posterior from `v` by Newton's method, and its curvature's root; rows count `each`.

        A curvature costs more than many steps, so it serves as long as each gains far less than the one before.
        """
        like = likelihood(seen, self.centre + v @ A, self.kernel.noise, rest)
        best, least = each * like.value.sum() - 0.5 * v @ v, max(1e-6, GAIN * len(rest))
        scaled, last, steps = np.empty_like(A), np.inf, 0
        L = self._curvature(A, each * like.weight, scaled)
        for _ in range(TURNS):
            step = cho_solve((L, True), A @ (each * like.first) - v, check_finite=False)
            steps += 1
            for _ in range(12):
                like = likelihood(seen, self.centre + (v + step) @ A, self.kernel.noise, rest)
                score = each * like.value.sum() - 0.5 * (v + step) @ (v + step)
                if score >= best - 1e-9:
                    break
                step = step / 2
            v, gain, best = v + step, score - best, score
            if gain < least and steps == 1:
                break
            if gain < least or gain > QUICK * last:
                L, last, steps = self._curvature(A, each * like.weight, scaled), np.inf, 0
            else:
                last = gain
        return v, L

    @staticmethod
    def _curvature(A: Array, weight: Array, scaled: Array) -> Array:
        """Return the lower Cholesky factor of I + A diag(weight) Aᵀ; `scaled` is memory to work in."""
        if not A.shape[1]:
            return np.eye(len(A))  # nothing was seen, and BLAS says so on the screen
        np.multiply(A, np.sqrt(np.maximum(weight, 0.0)), out=scaled)
        H = dsyrk(1.0, scaled.T, trans=1, lower=1)
        H[np.diag_indices_from(H)] += 1.0
        return np.asarray(cholesky(H, lower=True, check_finite=False))

    @property
    def noise(self) -> float:
        """Return the standard deviation of the noise."""
        return self.kernel.noise

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Return the latent's mean and variance at rows of `points`; read-only."""
        return self._memo.answer("", points, lambda: self._predict(points))

    def covariance(self, points: Array) -> Array:
        """Return the latent's covariance between rows of `points`, (n, n)."""
        _, rows = self._projection
        told = rows @ self.kernel(self.basis, points)
        return np.asarray(self.kernel(points, points) - told.T @ told)

    @functools.cached_property
    def _projection(self) -> tuple[Array, Array]:
        """Return weights w and rows F: the mean at x is centre + wᵀk(x), the variance k(x, x) − |F k(x)|².

        With K = L Lᵀ the basis' prior covariance, v = L⁻¹f has prior N(0, I) and posterior N(v̂, H⁻¹), so for
        a = L⁻¹k(x) the variance is k(x, x) − aᵀ(I − H⁻¹)a. In H's eigenvectors I − H⁻¹ is diagonal, 1 − 1/λ; directions
        of which the runs told next to nothing (λ near one) are left out, most of them where the latent is smooth.
        """
        values, vectors = eigh(self._hessian @ self._hessian.T, check_finite=False)
        told = 1.0 - 1.0 / np.maximum(values, 1.0)
        kept = told > INFORMED
        rows = np.column_stack([vectors[:, kept] * np.sqrt(told[kept]), self._v])
        back = solve_triangular(self._root, rows, lower=True, trans="T", check_finite=False)
        return np.asarray(back[:, -1]), np.ascontiguousarray(back[:, :-1].T)

    def _predict(self, points: Array) -> tuple[Array, Array]:
        if len(points) < len(self.basis):
            return self._solved(points)
        weights, rows = self._projection
        means, variances = [], []
        for start in range(0, len(points), BLOCK):
            some = points[start : start + BLOCK]
            K = self.kernel(self.basis, some)
            F = rows @ K
            means.append(self.centre + weights @ K)
            variances.append(np.maximum(self.kernel.diagonal(some) - np.einsum("ij,ij->j", F, F), 0.0))
        return np.concatenate(means), np.concatenate(variances)

    def _solved(self, points: Array) -> tuple[Array, Array]:
        """Return the same for so few points that the projection is not worth its making."""
        A = self._coordinates(points)
        B = solve_triangular(self._hessian, A, lower=True, check_finite=False)
        rest = np.maximum(self.kernel.diagonal(points) - np.einsum("ij,ij->j", A, A), 0.0)
        return self.centre + self._v @ A, rest + np.einsum("ij,ij->j", B, B)
