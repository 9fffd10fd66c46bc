"""Cross-entropy method: fit a normal distribution to the best gaits, draw from it, fit again.

R. Y. Rubinstein, "The Cross-Entropy Method for Combinatorial and Continuous Optimization", 1999; with noise added to
the width so that it does not collapse: I. Szita and A. Lorincz, "Learning Tetris Using the Noisy Cross-Entropy Method",
2006.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robotps.parameters import FloatArray, ParameterSpace
from robotps.search.search import Score, Search, above, at_least, ranking


class CrossEntropy(Search):
    """Draw gaits from N(mu, diag(sigma^2)); mu and sigma become mean and spread of the elite.

    policies: gaits an iteration. elite: fraction of them that is kept. sigma: first standard deviation, in steps.
    noise: constant added to the variance, in steps squared. Only the order of scores matters; unscored gaits are last.
    """

    name = "cem"

    def __init__(
        self,
        space: ParameterSpace,
        *,
        seed: int = 0,
        policies: int = 24,
        elite: float = 0.25,
        sigma: float = 3.0,
        noise: float = 1.0,
    ) -> None:
        super().__init__(space, seed=seed)
        at_least("policies", policies, 2)
        if not 0 < elite <= 1:
            raise ValueError(f"elite must be a fraction above 0 and at most 1, it is {elite:g}")
        above("sigma", sigma, 0)
        at_least("noise", noise, 0)
        self.policies = policies
        self.elite = elite
        self.noise = noise
        self._mu = self.start
        self._sigma: FloatArray = np.full(len(space), float(sigma))

    @property
    def recommended(self) -> FloatArray:
        return self._mu

    def _propose(self, generator: np.random.Generator) -> FloatArray:
        return self._mu + self._sigma * generator.standard_normal((self.policies, len(self.space)))

    def _learn(self, candidates: FloatArray, scores: Sequence[Score]) -> None:
        order = [i for i in ranking(scores) if scores[i].value is not None]
        kept = candidates[order[: max(2, round(self.elite * len(candidates)))]]
        if len(kept) < 2:
            return
        self._mu = kept.mean(axis=0)
        self._sigma = np.sqrt(kept.var(axis=0) + self.noise)  # Szita & Lorincz, eq. 3
