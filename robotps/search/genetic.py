"""Genetic algorithm: recombine the better gaits of a population and mutate the children.

The third of the four searches compared in N. Kohl and P. Stone, "Machine Learning for Fast Quadrupedal Locomotion",
AAAI 2004: multi-point crossover, mutation, and the best carried over.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robotps.parameters import FloatArray, ParameterSpace
from robotps.search.search import Score, Search, above, at_least, ranking


class Genetic(Search):
    """A population whose better half are the parents of the next.

    policies: gaits in a population. elite: how many of the best live on unchanged (and are tried again: a lucky score
    does not keep a gait alive). crossover_points: where a child changes from one parent to the other. mutation: chance
    that a parameter of a child moves, by a normal number of standard deviation sigma, in steps. Only the order of
    scores matters; unscored gaits are last.
    """

    name = "genetic"

    def __init__(
        self,
        space: ParameterSpace,
        *,
        seed: int = 0,
        policies: int = 20,
        elite: int = 1,
        crossover_points: int = 3,
        mutation: float = 0.15,
        sigma: float = 2.5,
    ) -> None:
        super().__init__(space, seed=seed)
        at_least("policies", policies, 2)
        if not 0 <= elite < policies:
            raise ValueError(f"elite must be at least 0 and below policies ({policies}), it is {elite}")
        at_least("crossover_points", crossover_points, 0)
        if not 0 <= mutation <= 1:
            raise ValueError(f"mutation must be a chance between 0 and 1, it is {mutation:g}")
        above("sigma", sigma, 0)
        self.policies = policies
        self.elite = elite
        self.crossover_points = crossover_points
        self.mutation = mutation
        self.sigma = sigma
        self._parents = self.start[np.newaxis]  # best first

    @property
    def recommended(self) -> FloatArray:
        mean: FloatArray = self._parents[: (len(self._parents) + 1) // 2].mean(axis=0)
        return mean

    def _propose(self, generator: np.random.Generator) -> FloatArray:
        if self.iteration == 0:  # the first population: the start and gaits around it
            spread = self.sigma * generator.standard_normal((self.policies, len(self.space)))
            spread[0] = 0
            return self.start + spread
        children = [self._child(generator) for _ in range(self.policies - self.elite)]
        return np.concatenate([self._parents[: self.elite], children])[: self.policies]

    def _child(self, generator: np.random.Generator) -> FloatArray:
        n = len(self.space)
        mother, father = self._parents[generator.integers(len(self._parents), size=2)]
        points = generator.integers(1, n, size=self.crossover_points) if n > 1 else np.zeros(0)
        from_father = (np.arange(n)[:, np.newaxis] >= points).sum(axis=1) % 2 == 1  # each point switches the parent
        child: FloatArray = np.where(from_father, father, mother)
        mutated = generator.random(n) < self.mutation
        child += mutated * self.sigma * generator.standard_normal(n)
        return child

    def _learn(self, candidates: FloatArray, scores: Sequence[Score]) -> None:
        order = [i for i in ranking(scores) if scores[i].value is not None]
        if order:
            self._parents = candidates[order[: max(1, self.elite, len(candidates) // 2)]]
