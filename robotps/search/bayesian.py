"""Bayesian search: a Gaussian process of the score around the best gait, and draws from it that say what to try next.

Thompson sampling in a trust region, after D. Eriksson et al., "Scalable Global Optimization via Local Bayesian
Optimization", 2019: a process over the whole box would waste its trials at the edges, where nothing walks. Here the
region is as wide as the process finds the function to be smooth, so there is nothing to count or to restart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from robotps.parameters import FloatArray, ParameterSpace
from robotps.search.gaussian_process import GaussianProcess
from robotps.search.replication import Scatter
from robotps.search.search import Score, Search, above, at_least, mirrored, scored

PriorMean = Callable[[FloatArray], FloatArray]
"""Expected scores (m,) of gaits (m, n): what a simulation says, for a search on the robot."""

WIDTHS = (0.1, 3.0)
"""Least and greatest standard deviation of what is tried, in steps."""

POOL = 64
"""Points at which the drawn functions are compared."""

CLIMB = 1.0
"""How far from a gait that was tried the centre of what is tried next may lie, in length scales."""

FIRST = 8
"""Scores before a process is fitted to them."""

FLOOR = 0.2
"""Scores below this quantile count as this quantile: a fall says where not to go, its depth would bend the rest."""


class Bayesian(Search):
    """Fit a Gaussian process to the latest scores; try gaits that are best in functions drawn from it.

    policies: gaits an iteration. sigma: standard deviation of the first iteration, in steps. width: standard deviation
    of later ones, in length scales of the process. memory: how many of the latest scores are looked at.
    prior_mean: what the score is expected to be before anything was tried; None: the same everywhere.

    It recommends the gait whose posterior mean is highest, which is not that of the best trial. The noise of a score is
    known from its repeats. A fall counts as one of the lower scores, whatever its depth; gaits without a score are left
    out.
    """

    name = "bayesian"
    asynchronous = True

    def __init__(
        self,
        space: ParameterSpace,
        *,
        seed: int = 0,
        policies: int = 5,
        sigma: float = 1.0,
        width: float = 0.4,
        memory: int = 200,
        prior_mean: PriorMean | None = None,
    ) -> None:
        super().__init__(space, seed=seed)
        at_least("policies", policies, 1)
        above("sigma", sigma, 0)
        above("width", width, 0)
        at_least("memory", memory, 10)
        self.policies = policies
        self.sigma = sigma
        self.width = width
        self.memory = memory
        self.prior_mean: PriorMean = prior_mean or (lambda points: np.zeros(len(points)))
        self._tried: FloatArray = np.empty((0, len(space)))
        self._scores: list[Score] = []
        self._process: GaussianProcess | None = None
        self._best = self._centre = self.start

    @property
    def recommended(self) -> FloatArray:
        """The gait that was tried and of which most is expected: what seems higher beside it may be a cliff."""
        self._fit()
        return self._best

    def mean(self, points: FloatArray) -> FloatArray:
        """Posterior mean score (m,) of gaits (m, n); raises ValueError before anything was scored."""
        process = self._fit()
        if process is None:
            raise ValueError(f"before {FIRST} scores there is nothing to expect: tell the search more")
        return self.prior_mean(points) + process.mean(points)

    def _propose(self, generator: np.random.Generator) -> FloatArray:
        process = self._fit()
        if process is None:
            return self.start + self.sigma * mirrored(generator, self.policies, len(self.space))
        sigma = float(np.clip(self.width * process.length, *WIDTHS))
        pool = max(POOL, 2 * self.policies)
        points = self.clip(self._centre + sigma * generator.standard_normal((pool, len(self.space))))
        functions = self.prior_mean(points) + process.sample(points, self.policies, generator)
        chosen: list[int] = []
        for function in functions:  # the best point of each function, no point twice
            function[chosen] = -np.inf
            chosen.append(int(function.argmax()))
        return points[chosen]

    def _learn(self, candidates: FloatArray, scores: Sequence[Score]) -> None:
        self._tried = np.concatenate([self._tried, candidates])
        self._scores += scores
        self._process = None

    def _fit(self) -> GaussianProcess | None:
        """The process of what is known now, and with it best gait and centre; a function of the data alone."""
        if self._process is None:
            points, values, trials, scatter = self._data()
            if len(values) < FIRST:
                return None
            process = GaussianProcess(points, values - self.prior_mean(points), trials, scatter)
            self._process = process
            self._best = points[(self.prior_mean(points) + process.mean(points)).argmax()]
            self._centre = self._climb(self._best, CLIMB * process.length)
        return self._process

    def _data(self) -> tuple[FloatArray, FloatArray, FloatArray, Scatter]:
        """The latest scored gaits, their values with a floor, trials of each, and the scatter within repeats."""
        latest = slice(-self.memory, None)
        points, values = (array[latest] for array in scored(self._tried, self._scores))
        known = [score for score in self._scores if score.value is not None][latest]
        trials = np.array([float(score.trials) for score in known])
        repeated = [
            (score.std_error**2 * score.trials, score.trials - 1) for score in known if score.std_error is not None
        ]
        scatter = sum((Scatter(*each) for each in repeated), Scatter())
        if len(values) > 0:
            values = np.maximum(values, np.quantile(values, FLOOR))
        return points, values, trials, scatter

    def _climb(self, start: FloatArray, reach: float) -> FloatArray:
        """Where the posterior mean is highest within reach (steps) of a point: gradient ascent."""
        here, height, stride = start, float(self.mean(start[np.newaxis])[0]), reach / 4
        axes = 1e-3 * np.eye(len(start))
        while stride > 1e-2:
            slope = self.mean(here + axes) - self.mean(here - axes)
            norm = float(np.linalg.norm(slope))
            if norm == 0:
                break
            away = here + stride * slope / norm - start
            away *= min(1.0, reach / max(float(np.linalg.norm(away)), 1e-12))
            there = self.clip(start + away)
            risen = float(self.mean(there[np.newaxis])[0])
            if risen > height:
                here, height = there, risen
            else:
                stride /= 2
        return here
