"""Hill climbing: of t random neighbours the best becomes the next centre.

The first of the four searches compared in N. Kohl and P. Stone, "Machine Learning for Fast Quadrupedal Locomotion",
AAAI 2004.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robotps.parameters import FloatArray, ParameterSpace
from robotps.search.search import Score, Search, at_least, ranking


class HillClimbing(Search):
    """Evaluate t neighbours, each parameter moved by +eps, 0 or -eps; move to the best of them, better or not.

    Moving even where no neighbour beats the centre's last score keeps one lucky trial from ending the climb.
    """

    name = "hill-climbing"

    def __init__(self, space: ParameterSpace, *, seed: int = 0, policies: int = 15) -> None:
        super().__init__(space, seed=seed)
        at_least("policies", policies, 1)
        self.policies = policies
        self._centre = self.start

    @property
    def recommended(self) -> FloatArray:
        return self._centre

    def _propose(self, generator: np.random.Generator) -> FloatArray:
        return self._centre + generator.integers(-1, 2, size=(self.policies, len(self.space)))

    def _learn(self, candidates: FloatArray, scores: Sequence[Score]) -> None:
        best = ranking(scores)[0]
        if scores[best].value is not None:
            self._centre = candidates[best]
