"""Finite differences: move one parameter at a time and climb the slope that is seen.

dV/dtheta_k ~ (V(theta + eps u_k) - V(theta)) / eps, or central: (V(theta + eps u_k) - V(theta - eps u_k)) / (2 eps).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robotps.parameters import FloatArray, ParameterSpace
from robotps.search.search import Score, Search, above, at_least, moved_from, scored


class FiniteDifference(Search):
    """Perturb every parameter by eps, alone; step along the gradient.

    policies: gaits an iteration; None for one difference a parameter (n + 1 one-sided, 2 n central). With fewer, an
    iteration takes the parameters in turn and steps along those it perturbed; with more, perturbations are repeated
    and averaged. central: both sides instead of one. eps: perturbation, in steps. eta: length of the step, in steps.
    A parameter at a bound is perturbed inwards; one whose gait has no score has no slope.
    """

    name = "finite-difference"

    def __init__(
        self,
        space: ParameterSpace,
        *,
        seed: int = 0,
        policies: int | None = None,
        central: bool = True,
        eps: float = 3.0,
        eta: float = 3.0,
    ) -> None:
        super().__init__(space, seed=seed)
        if policies is None:
            policies = 2 * len(space) if central else len(space) + 1
        at_least("policies", policies, 2)
        above("eps", eps, 0)
        above("eta", eta, 0)
        self.policies = policies
        self.central = central
        self.eps = eps
        self.eta = eta
        self._theta = self.start

    @property
    def recommended(self) -> FloatArray:
        return self._theta

    def _propose(self, generator: np.random.Generator) -> FloatArray:
        n = len(self.space)
        count = self.policies // 2 if self.central else self.policies - 1
        axes = (self.iteration * count + np.arange(count)) % n
        forward = self._theta + self.eps * np.eye(n)[axes]
        backward = self._theta - self.eps * np.eye(n)[axes]
        if self.central:
            return np.stack([forward, backward], axis=1).reshape(-1, n)
        room_above = (self.space.upper - self._theta >= self._theta - self.space.lower)[axes]
        inside = (self.clip(forward) == forward).all(axis=1) | room_above
        return np.vstack([self._theta, np.where(inside[:, np.newaxis], forward, backward)])

    def _learn(self, candidates: FloatArray, scores: Sequence[Score]) -> None:
        gradient = self.gradient(*scored(candidates, scores))
        norm = float(np.linalg.norm(gradient))
        if norm > 0:
            self._theta = self.clip(self._theta + self.eta * gradient / norm)

    def gradient(self, candidates: FloatArray, values: FloatArray) -> FloatArray:
        """The gradient of the score, per step, shape (n,), from gaits (m, n) that leave the centre along one axis.

        The difference quotient of each parameter; where gaits were repeated, their least-squares line.
        """
        displacement = moved_from(self._theta, candidates)
        moved = displacement != 0
        gradient = np.zeros(len(self.space))
        for k in range(len(self.space)):
            on_line = ~np.delete(moved, k, axis=1).any(axis=1)  # the centre, and what left it along axis k
            along, value = displacement[on_line, k], values[on_line]
            if len(along) > 0 and np.ptp(along) > 0:
                along = along - along.mean()
                gradient[k] = along @ value / (along @ along)
        return gradient
