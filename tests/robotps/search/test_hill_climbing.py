"""Hill climbing as in Kohl & Stone (AAAI 2004): the best of t neighbours becomes the centre."""

from __future__ import annotations

import numpy as np

from robotps.parameters import Parameter, ParameterSpace
from robotps.search import Score
from robotps.search.hill_climbing import HillClimbing

SPACE = ParameterSpace(tuple(Parameter(f"p{i}", "m", 0.0, 1.0, -9.0, 9.0) for i in range(4)))


def test_the_best_neighbour_becomes_the_centre_even_where_it_is_worse_than_the_last_one() -> None:
    search = HillClimbing(SPACE, policies=5, seed=1)
    for scores in ([0.1, 0.5, 0.3, None, 0.2], [0.4, 0.1, 0.2, 0.3, 0.0]):
        neighbours = search.ask()
        assert np.isin(neighbours - search.recommended, (-1.0, 0.0, 1.0)).all()
        search.tell(neighbours, [Score(score) for score in scores])
        np.testing.assert_array_equal(search.recommended, neighbours[1 if scores[1] == 0.5 else 0])


def test_the_centre_stays_where_no_neighbour_could_be_scored() -> None:
    search = HillClimbing(SPACE, policies=3)
    search.tell(search.ask(), [Score(None)] * 3)
    np.testing.assert_array_equal(search.recommended, np.zeros(4))
