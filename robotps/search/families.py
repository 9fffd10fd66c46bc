"""Which gait family to run, learned: a softmax policy over families around any search.

pi(a) = exp(theta_a) / sum_b exp(theta_b), improved by the likelihood ratio, grad log pi(a) = e_a - pi, with the reward
that the policy expects as its baseline: R. J. Williams, 1992; R. Sutton and A. Barto, "Reinforcement Learning", 2018,
sections 2.8 and 13.4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from robotps.parameters import FloatArray, Parameter, ParameterSpace
from robotps.search.search import Score, Search, above, scored

FAMILY = "family"
"""The parameter that carries the family of a gait, as a number in the order of the families searched over."""

MakeSearch = Callable[[ParameterSpace, int], Search]
"""A search of the gait's parameters within one family, from a space and a seed."""


def with_families(space: ParameterSpace, count: int, initial: int = 0) -> ParameterSpace:
    """The space of gaits in any of `count` families; its first parameter is the family, `initial` at the start."""
    family = Parameter(FAMILY, "", initial, step=1.0, lower=0, upper=count - 1)
    return ParameterSpace((family, *space.parameters))


class FamilyPolicy(Search):
    """Run every family once, then draw one for each iteration, and prefer those that score better than expected.

    space: from `with_families`. make_search: called once a family; each has a search of its own, which goes on where
    that family was last tried. learning_rate: of the preferences theta, for rewards in units of the spread of them all
    (that of the families' latest is next to nothing at times, and the step of theta without bound). The reward of a
    family is the mean score of its gaits; where none could be scored, the lowest so far. What is expected of a family
    is its latest reward: its search gets better, and that is no reason to prefer it.
    """

    name = "families"

    def __init__(
        self, space: ParameterSpace, make_search: MakeSearch, *, seed: int = 0, learning_rate: float = 0.5
    ) -> None:
        super().__init__(space, seed=seed)
        family, *others = space.parameters
        if family.name != FAMILY:
            raise ValueError(f"the first parameter must be '{FAMILY}' (see with_families), it is '{family.name}'")
        above("learning_rate", learning_rate, 0)
        self.learning_rate = learning_rate
        self._initial = round(family.initial)
        within = ParameterSpace(tuple(others))
        count = round(family.upper) + 1
        seeds = np.random.SeedSequence(seed).generate_state(count)
        self.searches = [make_search(within, int(each)) for each in seeds]
        self.races = self.searches[0].races
        self._theta = np.zeros(count)
        self._expected: FloatArray = np.full(count, np.nan)  # NaN: none of its gaits has been scored
        self._tried = np.zeros(count, dtype=bool)
        self._rewards: list[float] = []

    @property
    def policy(self) -> FloatArray:
        """pi, the probability of each family."""
        weights = np.exp(self._theta - self._theta.max())
        policy: FloatArray = weights / weights.sum()
        return policy

    @property
    def recommended(self) -> FloatArray:
        best = self._initial
        if self._theta.any():
            best = int(self._theta.argmax())
        elif self._rewards:
            best = int(np.nanargmax(self._expected))
        recommended: FloatArray = self._in_family(best, self.searches[best].recommended[np.newaxis])[0]
        return recommended

    def _propose(self, generator: np.random.Generator) -> FloatArray:
        untried = np.flatnonzero(~self._tried)
        drawn = int(untried[0]) if len(untried) else int(generator.choice(len(self.searches), p=self.policy))
        return self._in_family(drawn, self.searches[drawn].ask())

    def _in_family(self, family: int, candidates: FloatArray) -> FloatArray:
        return np.column_stack([np.full(len(candidates), float(family - self._initial)), candidates])

    def _learn(self, candidates: FloatArray, scores: Sequence[Score]) -> None:
        families = np.rint(candidates[:, 0]).astype(int) + self._initial
        for family in sorted(set(families.tolist())):
            rows = np.flatnonzero(families == family)
            told = [scores[row] for row in rows.tolist()]
            self.searches[family].tell(candidates[rows, 1:], told)
            _, values = scored(candidates[rows], told)
            if len(values) > 0:
                self._reward(family, float(values.mean()))
            elif self._rewards:
                self._reward(family, min(self._rewards))
            self._tried[family] = True

    def _reward(self, family: int, reward: float) -> None:
        """theta <- theta + alpha (R - b) / s grad log pi(a), b = sum_a pi(a) E[R | a]."""
        self._rewards.append(reward)
        expected = np.where(np.isnan(self._expected), min(self._rewards), self._expected)
        self._expected[family] = reward
        spread = float(np.std(self._rewards))
        if spread > 0 and self._tried.all():
            advantage = (reward - float(self.policy @ expected)) / spread
            gradient = np.eye(len(self._theta))[family] - self.policy
            self._theta = self._theta + self.learning_rate * advantage * gradient
