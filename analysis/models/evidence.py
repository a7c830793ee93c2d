"""Hyperparameters of a Gaussian process: those of highest evidence, by Laplace's approximation, times their prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs
from scipy.optimize import minimize

from analysis.models.kernels import Array, Kernel, Prior
from analysis.models.likelihoods import Likelihood, Observations, likelihood, whole_likelihood

TRAINED_ON = 250
"""Rows, spread over the box, on which hyperparameters are fitted when there are more."""
STEP = 2.0
"""Prior standard deviation of the height of a step, in the latent's unit."""
FARTHEST = 7.0
"""Factors of e that a hyperparameter may end from its prior's median; beyond it nothing changes but rounding."""
CONVERGED = 1e-6
"""Gain of a Newton step below which the mode is found; convergence is quadratic, so what is left is far less."""
JITTER = 1e-8


def _distances(a: Array, b: Array) -> Array:
    """Return squared differences per feature, (D, n, m)."""
    return np.asarray((a.T[:, :, None] - b.T[:, None, :]) ** 2)


class Evidence:
    """Minus the log of Laplace's evidence times the hyperprior, with its gradient.

    Derivation (Rasmussen and Williams 2006, sections 3.4 and 5.5.1). Let f be the latent less its centre, with prior
    N(0, K), and p(y|f) the likelihood, row by row. The mode f̂ maximises Ψ(f) = log p(y|f) − ½ fᵀK⁻¹f. With
    W = −∂² log p(y|f)/∂f², a diagonal, Newton's step from f is

        f' = K (I + W K)⁻¹ (W f + ∂ log p) = K a,   a = b − W½ B⁻¹ W½ K b,   B = I + W½ K W½,   b = W f + ∂ log p.

    B's eigenvalues are at least one, so its Cholesky factor L always exists, and K is never inverted: `alpha` is
    a = K⁻¹f̂, which at the mode equals ∂ log p. Approximating Ψ there by its parabola, the evidence is

        log Z = Ψ(f̂) − ½ log |B|,   |B|½ = ∏ L_ii.

    For its derivative by a hyperparameter θ of K, f̂ moves too. Explicitly, with R = W½ B⁻¹ W½ = (K + W⁻¹)⁻¹:

        ∂log Z/∂θ |f̂ fixed = ½ aᵀ (∂K/∂θ) a − ½ tr(R ∂K/∂θ).

    Ψ is stationary in f̂, so only log |B| feels the move. Through W it changes by the third derivative of the log
    likelihood: s_i = ∂log Z/∂f̂_i = ½ V_ii ∂³ log p_i, with V = K − K R K the posterior covariance. And the mode obeys
    f̂ = K ∂ log p(f̂), so ∂f̂/∂θ = (I + K W)⁻¹ (∂K/∂θ) ∂ log p. Their product is

        sᵀ (I + K W)⁻¹ (∂K/∂θ) ∂ log p = (s − R K s)ᵀ (∂K/∂θ) ∂ log p.

    The noise is in the likelihood alone: ∂log Z/∂log σ = Σ ∂log p/∂log σ − ½ Σ V_ii ∂W_ii/∂log σ, and through the mode
    (s − R K s)ᵀ K ∂(∂ log p)/∂log σ.
    """

    def __init__(self, seen: Observations, centre: float, prior: Prior, beyond: Array | None = None) -> None:
        self.seen, self.centre, self.prior, self.beyond = seen, centre, prior, beyond
        features = seen.points.shape[1]
        # A step of height N(0, STEP²) on the rows beyond is one more rank of the covariance.
        self.step = 0.0 if beyond is None else STEP**2 * np.outer(beyond, beyond)
        self.middle, self.free, self.spread = prior.centre(features), prior.free(features), prior.spread(features)
        self.squares = _distances(seen.points, seen.points)
        self.linear = (seen.points - 0.5) @ (seen.points - 0.5).T
        self.alpha = np.zeros(len(seen.low))

    def _mode(self, K: Array, noise: float) -> tuple[Array, Likelihood, Array, Array]:
        """Return the mode less the centre, its likelihood, the square root of the weights and B's Cholesky factor."""
        alpha = self.alpha
        f = K @ alpha
        like = likelihood(self.seen, f + self.centre, noise)
        best = like.value.sum() - 0.5 * alpha @ f
        for _ in range(50):
            root = np.sqrt(like.weight)
            L = _factor(K, root)
            b = like.weight * f + like.first
            target = b - root * _solved(L, root * (K @ b))
            step = target - alpha
            # Halve the step until Ψ does not fall; the likelihoods are log-concave, so it ends.
            for _ in range(12):
                f = K @ (alpha + step)
                like = likelihood(self.seen, f + self.centre, noise)
                score = like.value.sum() - 0.5 * (alpha + step) @ f
                if score >= best - 1e-9:
                    break
                step = step / 2
            alpha, gain, best = alpha + step, score - best, score
            if gain < CONVERGED:
                break
        self.alpha = alpha
        root = np.sqrt(like.weight)
        return f, like, root, _factor(K, root)

    def left_out(self, theta: Array) -> tuple[float, Array, Array]:
        """Return the log evidence at log hyperparameters, and the latent's mean and variance at each point.

        Both are told by the other points. Laplace's posterior is that of values f̂ + ∂ log p / W seen with variances
        1/W; taking one of them away divides its normal out of the posterior's (Rasmussen and Williams 2006, equation
        3.56, the cavity).
        """
        kernel = Kernel.of(theta, self.prior)
        K, _, _, _ = self._covariance(kernel)
        f, like, root, L = self._mode(K, kernel.noise)
        value = float(like.value.sum() - 0.5 * self.alpha @ f - np.log(np.diag(L)).sum())
        reached = solve_triangular(L, root[:, None] * K, lower=True, check_finite=False)
        own = np.maximum(np.diag(K) - (reached**2).sum(axis=0), 1e-10)
        precision = np.maximum(1.0 / own - like.weight, 1e-6)
        mean = (f / own - like.weight * f - like.first) / precision
        return value, self.centre + mean, 1.0 / precision

    def at(self, theta: Array, unlikely: float = 0.0) -> Trained:
        """Return the fit at log hyperparameters; `unlikely` is minus the log of their hyperprior."""
        value, mean, variance = self.left_out(theta)
        height = STEP**2 * float(self.beyond @ self.alpha) if self.beyond is not None else 0.0
        return Trained(theta=theta, loss=unlikely - value, mean=mean, variance=variance, height=height)

    def _covariance(self, kernel: Kernel) -> tuple[Array, Array, Array, Array]:
        """Return the covariance of the points, its stationary part with that one's slope, and its linear part."""
        stationary, slope = kernel.stationary(np.tensordot(1.0 / kernel.lengths**2, self.squares, axes=1))
        linear = kernel.slope**2 * self.linear
        K = stationary + linear + (kernel.constant + self.step)
        np.einsum("ii->i", K)[:] += JITTER
        return K, stationary, slope, linear

    def __call__(self, step: Array) -> tuple[float, Array]:
        """Return the loss and its gradient at `step` free numbers away from the prior's median."""
        kernel = Kernel.of(self.middle + self.free @ step, self.prior)
        K, stationary, slope, linear = self._covariance(kernel)
        f, _, root, L = self._mode(K, kernel.noise)
        like = whole_likelihood(self.seen, f + self.centre, kernel.noise)
        value = like.value.sum() - 0.5 * self.alpha @ f - np.log(np.diag(L)).sum()
        R = root[:, None] * _inverse(L) * root
        KR = K @ R
        variance = np.diag(K) - np.einsum("ij,ij->i", KR, K)
        by_mode = 0.5 * variance * like.third
        through_mode = by_mode - R @ (K @ by_mode)

        # Every derivative by a hyperparameter of K is the sum of ∂K/∂θ times this, entry by entry.
        by_entry = np.outer(0.5 * self.alpha, self.alpha) + np.outer(through_mode, like.first)
        by_entry -= 0.5 * R
        by_square = np.tensordot(self.squares, slope * by_entry, axes=2)
        gradient = [*(by_square / kernel.lengths**2)]
        gradient += [2.0 * np.vdot(stationary, by_entry), 2.0 * np.vdot(linear, by_entry)]
        by_noise = like.value_noise.sum() - 0.5 * variance @ like.weight_noise
        gradient.append(float(by_noise + through_mode @ (K @ like.first_noise)))
        z = step / self.spread
        return float(0.5 * z @ z - value), z / self.spread - np.array(gradient) @ self.free


def _factor(K: Array, root: Array) -> Array:
    """Return the lower Cholesky factor of B = I + W½ K W½, by LAPACK itself: checks cost more than small factors."""
    B = root[:, None] * K * root
    np.einsum("ii->i", B)[:] += 1.0
    # Transposed, the symmetric B lies as LAPACK wants it and is not copied.
    L, failed = dpotrf(B.T, lower=1, clean=1, overwrite_a=1)
    if failed:
        raise np.linalg.LinAlgError("the covariance of the observations is not positive definite.")
    return np.asarray(L)


def _inverse(L: Array) -> Array:
    """Return B⁻¹ by B's Cholesky factor."""
    lower, _ = dpotri(L, lower=1)
    return np.asarray(lower + np.tril(lower, -1).T)


def _solved(L: Array, right: Array) -> Array:
    """Return B⁻¹ times `right` by B's Cholesky factor."""
    solution, _ = dpotrs(L, right, lower=1)
    return np.asarray(solution)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Hyperparameters and the latent at its own points."""

    theta: Array
    """The log hyperparameters of highest evidence times prior."""
    loss: float
    """Minus the log of that product; differences between fits of the same values are log odds."""
    mean: Array
    """(n,) mean of the latent at each point, told by all other points."""
    variance: Array
    """(n,) its variance."""
    height: float
    """Height of the step at the points beyond, where some were."""


def trained(
    seen: Observations,
    centre: float,
    prior: Prior,
    start: Array | None = None,
    *,
    beyond: Array | None = None,
    turns: int = 30,
) -> Trained:
    """Fit hyperparameters, from `start` (the prior's median), in at most `turns` steps; all rows are used.

    `beyond`, ones and zeros, adds a step of unknown height to the latent of some rows.
    """
    evidence = Evidence(seen, centre, prior, beyond)
    middle, free, spread = evidence.middle, evidence.free, evidence.spread
    begin = np.zeros(len(spread)) if start is None else np.linalg.lstsq(free, start - middle, rcond=None)[0]
    found = minimize(
        evidence,
        begin,
        jac=True,
        method="L-BFGS-B",
        bounds=[(-reach, reach) for reach in np.minimum(4.0 * spread, FARTHEST)],
        options={"maxiter": turns, "ftol": 1e-6, "gtol": 1e-3},
    )
    z = found.x / spread
    return evidence.at(np.asarray(middle + free @ found.x), float(0.5 * z @ z))


def held(seen: Observations, centre: float, prior: Prior, theta: Array, beyond: Array | None = None) -> Trained:
    """Return the same at log hyperparameters that are given, however likely `prior` takes them to be."""
    return Evidence(seen, centre, prior, beyond).at(theta)


def train(seen: Observations, centre: float, prior: Prior, start: Array | None = None) -> Array:
    """Return the log hyperparameters of highest evidence times prior, found from `start` (the prior's median)."""
    if len(seen.low) < 2:
        return prior.centre(seen.points.shape[1])
    return trained(thinned(seen), centre, prior, start).theta


def thinned(seen: Observations, count: int = TRAINED_ON) -> Observations:
    """Return at most `count` of the observations, spread over the box."""
    return seen if len(seen.low) <= count else seen.rows(spread_rows(seen.points, count))


def spread_rows(points: Array, count: int) -> npt.NDArray[np.intp]:
    """Return `count` rows that cover the points, each farthest from those before it; ties go to the earlier row."""
    chosen = np.zeros(min(count, len(points)), dtype=np.intp)
    nearest = np.full(len(points), np.inf)
    current = int(np.argmin(((points - points.mean(0)) ** 2).sum(1)))
    for k in range(len(chosen)):
        chosen[k] = current
        nearest = np.minimum(nearest, ((points - points[current]) ** 2).sum(1))
        nearest[current] = -1.0
        current = int(np.argmax(nearest))
    return np.sort(chosen)
