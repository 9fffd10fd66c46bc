"""CMA-ES: adapt the full covariance of a normal distribution of gaits to the shape of the hill.

N. Hansen, "The CMA Evolution Strategy: A Tutorial", 2016, by the library cmaes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robotps.errors import require
from robotps.parameters import FloatArray, ParameterSpace
from robotps.search.search import Score, Search, above, at_least, ranking


class CMAES(Search):
    """Covariance matrix adaptation; recommends the mean of the distribution.

    policies: the population, lambda. sigma: first standard deviation, in steps. Only the order of scores matters; a
    gait without a score ranks last. An iteration of another size than the population (the last one of a budget)
    teaches nothing. Not asynchronous: candidates drawn around an earlier mean would pull the mean back to it.
    """

    name = "cma-es"

    def __init__(self, space: ParameterSpace, *, seed: int = 0, policies: int = 12, sigma: float = 1.0) -> None:
        super().__init__(space, seed=seed)
        at_least("policies", policies, 4)  # mu >= 2: with one parent there is no rank-mu update
        above("sigma", sigma, 0)
        self.policies = policies
        self._cma = require("cmaes", "search").CMA(
            mean=self.start,
            sigma=sigma,
            bounds=np.column_stack([space.lower, space.upper]),
            n_max_resampling=10,
            population_size=policies,
        )

    @property
    def recommended(self) -> FloatArray:
        return self.clip(self._cma.mean)

    def _propose(self, generator: np.random.Generator) -> FloatArray:
        self._cma.reseed_rng(int(generator.integers(2**32)))
        return np.array([self._cma.ask() for _ in range(self.policies)])

    def _learn(self, candidates: FloatArray, scores: Sequence[Score]) -> None:
        if len(candidates) != self.policies or self._cma.should_stop():  # stopped: nothing is left but rounding errors
            return
        if all(score.value is None for score in scores):
            return
        # the library minimises, looks only at the order and sorts the list it is given
        self._cma.tell([(candidates[index], float(rank)) for rank, index in enumerate(ranking(scores))])
