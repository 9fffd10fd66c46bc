"""Nelder-Mead, the amoeba: a simplex of n + 1 gaits that reflects, stretches and shrinks its way uphill.

J. A. Nelder and R. Mead, "A Simplex Method for Function Minimization", 1965, in the variant of J. C. Lagarias et al.,
"Convergence Properties of the Nelder-Mead Simplex Method in Low Dimensions", 1998 (which is SciPy's).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np

from robotps.parameters import FloatArray, ParameterSpace
from robotps.search.search import Score, Search, above, at_least

Told = tuple[FloatArray, FloatArray]
"""Candidates (m, n) as they were tried, and their values (m,)."""

REFLECTION, EXPANSION, CONTRACTION, SHRINKAGE = 1.0, 2.0, 0.5, 0.5
"""rho, chi, gamma, sigma of Lagarias et al., section 2."""


class NelderMead(Search):
    """The simplex starts with an edge of `edge` steps along every parameter; recommends the mean of its better half.

    policies: most gaits asked for at once; only the first simplex and a shrink have more than one to ask for. Only
    comparisons of scores matter; a gait without a score is worse than any other.
    """

    name = "nelder-mead"
    races = False  # one point against the simplex, most of the time

    def __init__(self, space: ParameterSpace, *, seed: int = 0, policies: int = 15, edge: float = 5.0) -> None:
        super().__init__(space, seed=seed)
        at_least("policies", policies, 1)
        above("edge", edge, 0)
        self.policies = policies
        self._simplex = self.start[np.newaxis]  # until the first one has been scored
        self._amoeba = self._crawl(self.first_simplex(edge))
        self._wanted = next(self._amoeba)
        self._told: list[tuple[FloatArray, float]] = []

    def first_simplex(self, edge: float) -> FloatArray:
        """The start, and it moved along every parameter, the other way where a bound is nearer: (n + 1, n)."""
        away = (edge > self.space.upper) & (-self.space.lower > self.space.upper)
        return self.clip(np.vstack([np.zeros(len(self.space)), np.diag(np.where(away, -edge, edge))]))

    @property
    def recommended(self) -> FloatArray:
        mean: FloatArray = self._simplex[: (len(self._simplex) + 1) // 2].mean(axis=0)
        return mean

    def _propose(self, generator: np.random.Generator) -> FloatArray:
        return self._wanted[len(self._told) : len(self._told) + self.policies]

    def _learn(self, candidates: FloatArray, scores: Sequence[Score]) -> None:
        for candidate, score in zip(candidates, scores, strict=True):
            self._told.append((candidate, score.comparable))
            if len(self._told) == len(self._wanted):
                points, values = zip(*self._told, strict=True)
                self._wanted = self._amoeba.send((np.array(points), np.array(values)))
                self._told = []

    def _crawl(self, corners: FloatArray) -> Generator[FloatArray, Told, None]:
        """The algorithm as it reads in the paper: it yields gaits to try and is sent them back with their values."""
        simplex, values = yield corners
        while True:
            order = np.argsort(-values, kind="stable")
            simplex, values = simplex[order], values[order]  # best first
            self._simplex = simplex
            centroid = simplex[:-1].mean(axis=0)

            def along(distance: float, centroid: FloatArray = centroid, worst: FloatArray = simplex[-1]) -> FloatArray:
                return self.clip(centroid + distance * (centroid - worst))[np.newaxis]

            trial, value = yield along(REFLECTION)
            if value > values[0]:
                farther = yield along(REFLECTION * EXPANSION)
                accepted = max((trial, value), farther, key=lambda told: float(told[1][0]))
            elif value > values[-2]:
                accepted = trial, value
            else:
                outside = value > values[-1]
                trial_, value_ = yield along(CONTRACTION * REFLECTION if outside else -CONTRACTION)
                if value_ >= value if outside else value_ > values[-1]:
                    accepted = trial_, value_
                else:
                    rest = yield self.clip(simplex[0] + SHRINKAGE * (simplex[1:] - simplex[0]))
                    simplex, values = np.concatenate([simplex[:1], rest[0]]), np.concatenate([values[:1], rest[1]])
                    continue
            simplex, values = np.concatenate([simplex[:-1], accepted[0]]), np.concatenate([values[:-1], accepted[1]])
