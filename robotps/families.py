"""Between the vectors of a search, which may choose the gait's family, and the gaits of a run, which have one each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robotps.description import Family
from robotps.parameters import FloatArray
from robotps.run import Candidate


class Families:
    """The families a search is over, the start's first. One of them: its vectors are the run's, (n,).

    Several: they are (n + 1,), the first number being the family's place.
    """

    def __init__(self, families: Sequence[Family]) -> None:
        self.families = tuple(families)

    def gaits(self, vectors: FloatArray) -> tuple[list[Family], FloatArray]:
        """Families and vectors (m, n) of what a search asks to try."""
        if len(self.families) == 1:
            return [self.families[0]] * len(vectors), vectors
        return [self.families[round(place)] for place in vectors[:, 0].tolist()], vectors[:, 1:]

    def vectors(self, candidates: Sequence[Candidate]) -> FloatArray:
        """What a search asked for, from the record."""
        vectors = np.stack([candidate.vector for candidate in candidates])
        if len(self.families) == 1:
            return vectors
        places = [float(self.families.index(candidate.family)) for candidate in candidates]
        return np.column_stack([places, vectors])
