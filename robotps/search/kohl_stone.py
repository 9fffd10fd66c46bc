"""Kohl & Stone (2004): a policy gradient estimated from random perturbations of all parameters at once.

N. Kohl and P. Stone, "Policy Gradient Reinforcement Learning for Fast Quadrupedal Locomotion", ICRA 2004, figure 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robotps.parameters import FloatArray, ParameterSpace
from robotps.search.search import Score, Search, above, at_least, moved_from, scored


class KohlStone(Search):
    """Perturb every parameter by +eps, 0 or -eps in each of t policies; step along the estimated gradient.

    policies: t, gaits an iteration. eta: length of the step, in units of eps. zero_rule: leave a parameter alone where
    its unperturbed group scores best, as the paper does. Gaits without a score are left out of the averages.

    >>> search = KohlStone(space, policies=15)
    >>> candidates = search.ask()
    >>> search.tell(candidates, [Score(evaluate(space.values(candidate))) for candidate in candidates])
    """

    name = "kohl-stone"

    def __init__(
        self, space: ParameterSpace, *, seed: int = 0, policies: int = 15, eta: float = 2.0, zero_rule: bool = True
    ) -> None:
        super().__init__(space, seed=seed)
        at_least("policies", policies, 2)
        above("eta", eta, 0)
        self.policies = policies
        self.eta = eta
        self.zero_rule = zero_rule
        self._theta = self.start

    @property
    def recommended(self) -> FloatArray:
        return self._theta

    def _propose(self, generator: np.random.Generator) -> FloatArray:
        return self._theta + generator.integers(-1, 2, size=(self.policies, len(self.space)))

    def _learn(self, candidates: FloatArray, scores: Sequence[Score]) -> None:
        direction = self.gradient(*scored(candidates, scores))
        norm = float(np.linalg.norm(direction))
        if norm > 0:
            self._theta = self.clip(self._theta + self.eta * direction / norm)  # eta * A / |A|

    def gradient(self, candidates: FloatArray, values: FloatArray) -> FloatArray:
        """The adjustment A, shape (n,), from scores of perturbed gaits around the centre (before normalising).

        A_n = 0 where the unperturbed group scores best, Avg+ - Avg- otherwise. The paper gives no rule for an empty
        group: without a + or a - group there is no slope (0); without a 0 group its comparison is left out.
        """
        sign = np.sign(moved_from(self._theta, candidates))
        adjustment = np.zeros(len(self.space))
        for n in range(len(self.space)):
            plus, zero, minus = (values[sign[:, n] == s] for s in (1, 0, -1))
            if len(plus) == 0 or len(minus) == 0:
                continue
            avg_plus, avg_minus = plus.mean(), minus.mean()
            if self.zero_rule and len(zero) > 0 and zero.mean() > avg_plus and zero.mean() > avg_minus:
                continue
            adjustment[n] = avg_plus - avg_minus
        return adjustment
