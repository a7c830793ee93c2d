"""Kernels of the latents and the priors of their hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Prior:
    """A family of kernels and log-normal priors of its hyperparameters, as (median, sd of the log); sd 0 fixes one."""

    length: tuple[float, float] = (0.7, 0.7)
    """Length scale per feature, in widths of the box."""
    amplitude: tuple[float, float] = (0.6, 0.8)
    """Standard deviation of the stationary part, in the latent's unit."""
    slope: tuple[float, float] = (1.0, 0.6)
    """Standard deviation of the linear part's slopes, latent units per width of the box."""
    noise: tuple[float, float] = (0.15, 0.4)
    """Standard deviation of the noise; published seed spreads are 0.14–0.16 in log10 of a time."""
    constant: float = 4.0
    """Variance of the latent's overall level."""
    one_length: bool = False
    """Whether all features share one length scale."""
    squared_exponential: bool = False
    """Whether the stationary part is infinitely smooth rather than Matérn 5/2."""

    def centre(self, features: int) -> Array:
        """Return the prior median of the log hyperparameters: lengths, amplitude, slope, noise."""
        return np.log([self.length[0]] * features + [self.amplitude[0], self.slope[0], self.noise[0]])

    def free(self, features: int) -> Array:
        """Return (hyperparameters, free ones): what a step of each free number adds to every log hyperparameter."""
        columns = np.eye(features + 3)
        if self.one_length:
            columns = np.column_stack([columns[:, :features].sum(axis=1), columns[:, features:]])
        return np.asarray(columns[:, self._spreads(features) > 0])

    def spread(self, features: int) -> Array:
        """Return the prior standard deviations of the free numbers."""
        spreads = self._spreads(features)
        return np.asarray(spreads[spreads > 0])

    def _spreads(self, features: int) -> Array:
        lengths = [self.length[1]] * (1 if self.one_length else features)
        return np.array([*lengths, self.amplitude[1], self.slope[1], self.noise[1]])


STEEP = Prior(length=(1.0, 0.7), amplitude=(10.0, 1.0), slope=(10.0, 1.0), noise=(1.0, 0.0))
"""Hyperprior of a classifier's latent: steep edges over long lengths; the noise has scale one by definition."""


@dataclass(frozen=True)
class Kernel:
    """Matérn 5/2 or squared exponential with a length scale per feature, plus a linear and a constant part."""

    lengths: Array
    amplitude: float
    slope: float
    noise: float
    constant: float
    squared_exponential: bool

    @classmethod
    def of(cls, theta: Array, prior: Prior) -> Kernel:
        """Read the log hyperparameters in the order of `Prior.centre`."""
        *lengths, amplitude, slope, noise = np.exp(theta).tolist()
        return cls(np.array(lengths), amplitude, slope, noise, prior.constant, prior.squared_exponential)

    def stationary(self, square: Array) -> tuple[Array, Array]:
        """Return the stationary part at squared distances in length scales, and its slope: -2 times d/d(square)."""
        variance = self.amplitude**2
        if self.squared_exponential:
            value = variance * np.exp(-0.5 * square)
            return value, value
        r = np.sqrt(5.0 * square)
        decay = variance * np.exp(-r)
        return (1.0 + r + r**2 / 3.0) * decay, 5.0 / 3.0 * (1.0 + r) * decay

    def _values(self, square: Array) -> Array:
        """Return the stationary part alone, written over `square`: few passes over what may be large."""
        if self.squared_exponential:
            np.multiply(square, -0.5, out=square)
            np.exp(square, out=square)
        else:
            np.multiply(square, 5.0, out=square)
            r = np.sqrt(square)
            np.multiply(square, 1.0 / 3.0, out=square)
            square += r
            square += 1.0
            np.negative(r, out=r)
            np.exp(r, out=r)
            square *= r
        square *= self.amplitude**2
        return square

    def __call__(self, a: Array, b: Array) -> Array:
        """Return the covariance of the latent between rows of `a` and of `b`."""
        scaled_a, scaled_b = a / self.lengths, b / self.lengths
        square = (-2.0 * scaled_a) @ scaled_b.T
        square += (scaled_a**2).sum(1)[:, None]
        square += (scaled_b**2).sum(1)
        np.maximum(square, 0.0, out=square)
        value = self._values(square)
        value += (self.slope**2 * (a - 0.5)) @ (b - 0.5).T
        value += self.constant
        return value

    def diagonal(self, a: Array) -> Array:
        """Return the latent's variance at rows of `a`."""
        return np.asarray(self.amplitude**2 + self.slope**2 * ((a - 0.5) ** 2).sum(1) + self.constant)
