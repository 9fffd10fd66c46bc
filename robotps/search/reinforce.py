"""REINFORCE on gait parameters: the likelihood-ratio gradient of a Gaussian policy that draws one gait an episode.

R. J. Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning", 1992; with
the parameters themselves drawn, in mirrored pairs: F. Sehnke et al., "Parameter-exploring Policy Gradients", 2010.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robotps.parameters import FloatArray, ParameterSpace
from robotps.search.search import Score, Search, above, at_least, mirrored, scored


class Reinforce(Search):
    """Learn mean and width of a normal distribution of gaits, theta ~ N(mu, diag(sigma^2)), that score well.

    policies: gaits an iteration. sigma: first standard deviation, in steps. learning_rate: for the mean;
    sigma_learning_rate: for the logarithm of the width. natural: step along the natural gradient (in units of sigma),
    else along the plain one. Scores count in units of their spread within the iteration, so that rates have no unit;
    gaits without a score are left out.
    """

    name = "reinforce"

    def __init__(
        self,
        space: ParameterSpace,
        *,
        seed: int = 0,
        policies: int = 8,
        sigma: float = 3.0,
        learning_rate: float = 1.0,
        sigma_learning_rate: float = 0.2,
        natural: bool = True,
    ) -> None:
        super().__init__(space, seed=seed)
        at_least("policies", policies, 2)
        above("sigma", sigma, 0)
        above("learning_rate", learning_rate, 0)
        at_least("sigma_learning_rate", sigma_learning_rate, 0)
        self.policies = policies
        self.learning_rate = learning_rate
        self.sigma_learning_rate = sigma_learning_rate
        self.natural = natural
        self.mu = self.start
        self.sigma: FloatArray = np.full(len(space), float(sigma))

    @property
    def recommended(self) -> FloatArray:
        return self.mu

    def _propose(self, generator: np.random.Generator) -> FloatArray:
        return self.mu + self.sigma * mirrored(generator, self.policies, len(self.space))

    def _learn(self, candidates: FloatArray, scores: Sequence[Score]) -> None:
        candidates, returns = scored(candidates, scores)
        spread = float(returns.std()) if len(returns) > 1 else 0.0
        if spread == 0:
            return
        advantages = (returns - returns.mean()) / spread  # the mean return is the baseline
        to_mu, to_sigma = self.gradient(candidates, advantages)
        to_log_sigma = to_sigma * self.sigma
        if self.natural:  # F^-1: Fisher information of a normal is 1/sigma^2 for mu and 2 for log sigma
            to_mu, to_log_sigma = self.sigma**2 * to_mu, to_log_sigma / 2
        self.mu = self.clip(self.mu + self.learning_rate * to_mu)
        self.sigma = self.sigma * np.exp(np.clip(self.sigma_learning_rate * to_log_sigma, -0.5, 0.5))

    def gradient(self, candidates: FloatArray, advantages: FloatArray) -> tuple[FloatArray, FloatArray]:
        """1/m sum_i A_i grad log p(theta_i; mu, sigma), for mu and for sigma, each of shape (n,).

        candidates: theta_i, (m, n), drawn from the present distribution; advantages: returns less a baseline, (m,).
        """
        deviation = candidates - self.mu
        log_p_by_mu = deviation / self.sigma**2
        log_p_by_sigma = (deviation**2 - self.sigma**2) / self.sigma**3
        return advantages @ log_p_by_mu / len(advantages), advantages @ log_p_by_sigma / len(advantages)
