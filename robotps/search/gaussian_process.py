"""Gaussian process regression for noisy scores: small, without an optimiser, and the same for the same data.

C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", 2006, chapters 2 and 5.
"""

from __future__ import annotations

import numpy as np

from robotps.parameters import FloatArray
from robotps.search.replication import Scatter

LENGTHS = np.geomspace(0.2, 20.0, 14)
"""Length scales tried, in steps times the square root of the number of parameters (as distances grow)."""

NOISES = np.geomspace(1e-3, 3.0, 24)
"""Noise variances of one trial tried, in units of the variance of the function."""


class GaussianProcess:
    """f ~ GP(mean, s^2 exp(-|x - x'|^2 / 2 l^2)), seen through noise of variance s^2 rho / trials.

    Length l and noise rho are those of a grid that make the data most likely; s^2 is then known in closed form, and
    one eigendecomposition serves every rho of an l. Which trials were repeated matters twice: a mean of k trials has
    a k-th of the noise, and the scatter within repeats measures the noise itself.

    points: (n, d), in steps. values: (n,). trials: (n,) behind each value. scatter: of one trial within repeats.
    """

    def __init__(
        self,
        points: FloatArray,
        values: FloatArray,
        trials: FloatArray,
        scatter: Scatter,
    ) -> None:
        self.points = points
        self._offset = float(np.average(values, weights=trials))
        weight = np.sqrt(trials)
        weighted = weight * (values - self._offset)
        n, freedom = len(values), scatter.freedom
        squared = _squared_distances(points, points)
        best = np.inf
        for length in LENGTHS * np.sqrt(points.shape[1]):
            # whitened by the noise: W (R + rho W^-2) W = Q (Lambda + rho) Q'
            eigenvalues, vectors = np.linalg.eigh(weight[:, None] * np.exp(-squared / (2 * length**2)) * weight)
            eigenvalues = np.maximum(eigenvalues, 0)
            rotated = vectors.T @ weighted
            damped = eigenvalues + NOISES[:, None]  # (noises, n)
            # -log p(values, scatter), equation 2.30 and a chi-squared for the scatter, with the s^2 that minimises it
            variance = ((rotated**2 / damped).sum(axis=1) + freedom * scatter.variance / NOISES) / (n + freedom)
            variance = np.maximum(variance, 1e-300)
            cost = (n + freedom) * np.log(variance) + np.log(damped).sum(axis=1) + freedom * np.log(NOISES)
            at = int(cost.argmin())
            if cost[at] < best:
                best = float(cost[at])
                self.length, self.noise, self.variance = float(length), float(NOISES[at]), float(variance[at])
                self._whitener = weight[:, None] * vectors / np.sqrt(damped[at])  # W Q (Lambda + rho)^-1/2
        self._weights = self._whitener @ (self._whitener.T @ (values - self._offset))

    def mean(self, points: FloatArray) -> FloatArray:
        """Posterior mean at points (m, d): shape (m,), equation 2.25."""
        mean: FloatArray = self._offset + self._correlation(points, self.points) @ self._weights
        return mean

    def covariance(self, points: FloatArray) -> FloatArray:
        """Posterior covariance of the function (without noise) at points (m, d): shape (m, m), equation 2.26."""
        known = self._correlation(points, self.points) @ self._whitener
        covariance: FloatArray = self.variance * (self._correlation(points, points) - known @ known.T)
        return covariance

    def sample(self, points: FloatArray, count: int, generator: np.random.Generator) -> FloatArray:
        """Functions that the data allow, drawn at points (m, d): shape (count, m)."""
        covariance = self.covariance(points)
        root = np.linalg.cholesky(covariance + 1e-6 * self.variance * np.eye(len(points)))
        drawn: FloatArray = self.mean(points) + generator.standard_normal((count, len(points))) @ root.T
        return drawn

    def _correlation(self, a: FloatArray, b: FloatArray) -> FloatArray:
        correlation: FloatArray = np.exp(-_squared_distances(a, b) / (2 * self.length**2))
        return correlation


def _squared_distances(a: FloatArray, b: FloatArray) -> FloatArray:
    distances: FloatArray = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.maximum(distances, 0)
