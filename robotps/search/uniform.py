"""Random search: gaits drawn uniformly within the bounds, the honest floor under every other search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robotps.parameters import FloatArray, ParameterSpace
from robotps.search.search import Score, Search, at_least


class RandomSearch(Search):
    """Try the start, then gaits from anywhere within the bounds; recommends the one that scored best.

    It knows no neighbourhood, hence no mean to recommend: its best is a single lucky trial, as a floor should be.
    Gaits without a score are passed over. policies: gaits an iteration.
    """

    name = "random"
    asynchronous = True

    def __init__(self, space: ParameterSpace, *, seed: int = 0, policies: int = 15) -> None:
        super().__init__(space, seed=seed)
        at_least("policies", policies, 1)
        self.policies = policies
        self._best = self.start
        self._best_value = -np.inf

    @property
    def recommended(self) -> FloatArray:
        return self._best

    def _propose(self, generator: np.random.Generator) -> FloatArray:
        drawn = generator.uniform(self.space.lower, self.space.upper, size=(self.policies, len(self.space)))
        if self.iteration == 0:
            drawn[0] = self.start
        return drawn

    def _learn(self, candidates: FloatArray, scores: Sequence[Score]) -> None:
        for candidate, score in zip(candidates, scores, strict=True):
            if score.value is not None and score.value > self._best_value:
                self._best, self._best_value = candidate, score.value
