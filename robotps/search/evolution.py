"""Evolution strategy: climb the average score of a cloud of gaits, seen only through the order of their scores.

T. Salimans et al., "Evolution Strategies as a Scalable Alternative to Reinforcement Learning", 2017, algorithm 1 with
its rank shaping; mirrored samples: D. Brockhoff et al., "Mirrored Sampling and Sequential Selection for Evolution
Strategies", PPSN 2010.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robotps.parameters import FloatArray, ParameterSpace
from robotps.search.search import Score, Search, above, at_least, mirrored, ranking


class EvolutionStrategy(Search):
    """Draw mirrored normal perturbations of fixed width and move the centre by their rank-weighted mean.

    policies: gaits an iteration. sigma: standard deviation, in steps. learning_rate: alpha, in steps squared.
    Ranks make one wild score count no more than any other; a gait without a score ranks last.
    """

    name = "es"
    asynchronous = True

    def __init__(
        self,
        space: ParameterSpace,
        *,
        seed: int = 0,
        policies: int = 8,
        sigma: float = 2.5,
        learning_rate: float = 12.0,
    ) -> None:
        super().__init__(space, seed=seed)
        at_least("policies", policies, 2)
        above("sigma", sigma, 0)
        above("learning_rate", learning_rate, 0)
        self.policies = policies
        self.sigma = sigma
        self.learning_rate = learning_rate
        self._theta = self.start

    @property
    def recommended(self) -> FloatArray:
        return self._theta

    def _propose(self, generator: np.random.Generator) -> FloatArray:
        return self._theta + self.sigma * mirrored(generator, self.policies, len(self.space))

    def _learn(self, candidates: FloatArray, scores: Sequence[Score]) -> None:
        m = len(candidates)
        if m < 2 or all(score.value is None for score in scores):
            return
        shaped = np.empty(m)
        # F_i: centred ranks; their sum is 0, so gaits asked ahead, around an older centre, teach the same
        shaped[ranking(scores)] = np.linspace(0.5, -0.5, m)
        perturbations = (candidates - self._theta) / self.sigma  # eps_i, as they were after the bounds
        gradient = shaped @ perturbations / (m * self.sigma)  # 1/(n sigma) sum_i F_i eps_i
        self._theta = self.clip(self._theta + self.learning_rate * gradient)
