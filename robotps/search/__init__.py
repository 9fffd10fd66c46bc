"""Policy searches, one algorithm a file, all behind `ask` and `tell`."""

from __future__ import annotations

from robotps.search.bayesian import Bayesian
from robotps.search.cem import CrossEntropy
from robotps.search.cma_es import CMAES
from robotps.search.evolution import EvolutionStrategy
from robotps.search.finite_difference import FiniteDifference
from robotps.search.genetic import Genetic
from robotps.search.hill_climbing import HillClimbing
from robotps.search.kohl_stone import KohlStone
from robotps.search.nelder_mead import NelderMead
from robotps.search.reinforce import Reinforce
from robotps.search.search import Score, Search
from robotps.search.uniform import RandomSearch

SEARCHES: dict[str, type[Search]] = {
    search.name: search
    for search in (
        KohlStone,
        FiniteDifference,
        HillClimbing,
        NelderMead,
        Genetic,
        CrossEntropy,
        CMAES,
        EvolutionStrategy,
        Reinforce,
        Bayesian,
        RandomSearch,
    )
}

__all__ = ["SEARCHES", "Score", "Search", *(search.__name__ for search in SEARCHES.values())]
