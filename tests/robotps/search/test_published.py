"""Each search does what its paper, its library or its textbook says: a stub, or another search renamed, would not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from robotps.parameters import FloatArray, ParameterSpace
from robotps.search import (
    CMAES,
    SEARCHES,
    EvolutionStrategy,
    FiniteDifference,
    Genetic,
    KohlStone,
    NelderMead,
    Reinforce,
    Score,
    Search,
)

Hills = dict[str, Callable[..., Any]]
Spaces = Callable[..., ParameterSpace]

REACHED = {
    # the true score (the start has 0.45, the best 1) of the recommended gait after 400 trials with 10 % noise
    "kohl-stone": {"sphere": 0.90, "ellipsoid": 0.89, "cliff": 0.90},
    "finite-difference": {"sphere": 0.90, "ellipsoid": 0.88, "cliff": 0.90},
    "hill-climbing": {"sphere": 0.75, "ellipsoid": 0.80, "cliff": 0.75},
    "nelder-mead": {"sphere": 0.85, "ellipsoid": 0.80, "cliff": 0.85},
    "genetic": {"sphere": 0.90, "ellipsoid": 0.88, "cliff": 0.90},
    "cem": {"sphere": 0.92, "ellipsoid": 0.90, "cliff": 0.90},
    "cma-es": {"sphere": 0.90, "ellipsoid": 0.90, "cliff": 0.90},
    "es": {"sphere": 0.95, "ellipsoid": 0.94, "cliff": 0.94},
    "reinforce": {"sphere": 0.93, "ellipsoid": 0.93, "cliff": 0.93},
    "bayesian": {"sphere": 0.90, "ellipsoid": 0.90, "cliff": 0.90},  # after 150
}


@pytest.mark.parametrize("name", REACHED)
@pytest.mark.parametrize("hill", ["sphere", "ellipsoid", "cliff"])
def test_it_climbs_noisy_hills_as_far_as_its_kind_does(
    name: str, hill: str, hills: Hills, space: ParameterSpace
) -> None:
    trials, seeds = (150, 3) if name == "bayesian" else (400, 5)
    reached = [hills[hill]().climb(SEARCHES[name](space, seed=seed), trials, seed) for seed in range(seeds)]
    assert np.median(reached) >= REACHED[name][hill]


@pytest.mark.parametrize("name", REACHED)
def test_in_a_curved_valley_under_noise_it_loses_little(name: str, hills: Hills, space: ParameterSpace) -> None:
    """With 10 % noise no search gains on Rosenbrock's function in so few trials; none may fall off its walls.

    Hill climbing, which follows the luckiest of fifteen, loses a fifth of the start; the others hold it.
    """
    trials, seeds = (60, 1) if name == "bayesian" else (400, 3)
    reached = [hills["rosenbrock"]().climb(SEARCHES[name](space, seed=seed), trials, seed) for seed in range(seeds)]
    assert np.median(reached) >= (0.35 if name == "hill-climbing" else 0.40)


@pytest.mark.parametrize(
    ("name", "reached"), [("cma-es", 0.99), ("nelder-mead", 0.99), ("es", 0.75), ("kohl-stone", 0.8)]
)
def test_without_noise_it_follows_the_curved_valley(name: str, reached: float, hills: Hills, spaces: Spaces) -> None:
    """Those that learn the valley's shape come to its end; those with a fixed step only some way."""
    hill = hills["rosenbrock"](n=6, noise=0.0)
    assert hill.climb(SEARCHES[name](spaces(6, reach=300.0), seed=0), 3000, 0) >= reached


def test_random_search_is_the_floor(hills: Hills, spaces: Spaces) -> None:
    near = spaces(12, reach=20.0)
    reached = [hills["ellipsoid"]().climb(SEARCHES["random"](near, seed=seed), 400, seed) for seed in range(5)]
    assert np.median(reached) < 0.6


def evaluations(ask: Callable[[], FloatArray], tell: Callable[[FloatArray, FloatArray], None], hill: Any) -> int:
    """How many until the mean of a population is as high as 0.99."""
    for number in range(1, 400):
        candidates = ask()
        values = hill.true(candidates)
        tell(candidates, values)
        if values.mean() > 0.99:
            return number * len(candidates)
    return 10**9


def test_cma_es_needs_as_many_evaluations_as_the_library_driven_directly(hills: Hills, space: ParameterSpace) -> None:
    import cmaes

    hill = hills["ellipsoid"](noise=0.0)

    def ours(seed: int) -> int:
        search = CMAES(space, seed=seed, policies=12, sigma=2.0)

        def tell(candidates: FloatArray, values: FloatArray) -> None:
            search.tell(candidates, [Score(value) for value in values.tolist()])

        return evaluations(search.ask, tell, hill)

    def library(seed: int) -> int:
        bounds = np.column_stack([space.lower, space.upper])
        cma = cmaes.CMA(mean=np.zeros(12), sigma=2.0, bounds=bounds, population_size=12, seed=seed)

        def tell(candidates: FloatArray, values: FloatArray) -> None:
            cma.tell(list(zip(candidates, -values, strict=True)))

        return evaluations(lambda: np.array([cma.ask() for _ in range(12)]), tell, hill)

    seeds = range(9)
    assert np.median([ours(s) for s in seeds]) <= 1.2 * np.median([library(s) for s in seeds])


def test_nelder_mead_asks_for_the_points_that_scipys_does(hills: Hills, spaces: Spaces) -> None:
    from scipy.optimize import minimize

    hill = hills["rosenbrock"](n=6, noise=0.0)
    search = NelderMead(spaces(6), edge=5.0)
    theirs: list[FloatArray] = []

    def cost(x: FloatArray) -> float:
        theirs.append(x.copy())
        return -float(hill.true(x)[0])

    options = {"initial_simplex": search.first_simplex(5.0), "maxfev": 300, "xatol": 0.0, "fatol": 0.0}
    minimize(cost, np.zeros(6), method="Nelder-Mead", options=options)
    ours: list[FloatArray] = []
    while len(ours) < 300:
        candidates = search.ask()
        search.tell(candidates, [Score(value) for value in hill.true(candidates).tolist()])
        ours += list(candidates)
    np.testing.assert_allclose(ours[:300], theirs[:300], rtol=1e-6, atol=1e-9)


def quadratic(n: int) -> tuple[Callable[[FloatArray], FloatArray], FloatArray, FloatArray]:
    generator = np.random.default_rng(8)
    slope, curvature = generator.standard_normal(n), 0.1 + generator.random(n)
    return lambda x: np.atleast_2d(x) @ slope - (np.atleast_2d(x) ** 2) @ curvature, slope, curvature


def test_the_likelihood_ratio_gradient_agrees_with_central_differences(spaces: Spaces) -> None:
    """Of a quadratic the slope of the expected score is the expected slope, which differences give exactly."""
    n, m = 6, 40_000
    score, slope, curvature = quadratic(n)
    search = Reinforce(spaces(n), sigma=0.7)
    differences = FiniteDifference(spaces(n), eps=0.1)
    axes = differences.ask()
    central = differences.gradient(axes, score(axes))
    np.testing.assert_allclose(central, slope, rtol=1e-6)
    theta = search.mu + search.sigma * np.random.default_rng(1).standard_normal((m, n))
    returns = score(theta)
    advantages = returns - returns.mean()
    to_mu, to_sigma = search.gradient(theta, advantages)
    deviation = theta - search.mu
    for found, exact, each in (
        (to_mu, central, advantages[:, None] * deviation / search.sigma**2),
        (
            to_sigma,
            -2 * curvature * search.sigma,
            advantages[:, None] * (deviation**2 / search.sigma**3 - 1 / search.sigma),
        ),
    ):
        z = (found - exact) / (each.std(axis=0) / np.sqrt(m))
        assert np.abs(z).max() < 3.5
        assert np.sqrt((z**2).mean()) < 1.6


def test_the_natural_step_is_the_plain_one_times_the_inverse_of_the_fisher_information(spaces: Spaces) -> None:
    score, *_ = quadratic(4)
    natural, plain = (Reinforce(spaces(4), sigma=0.5, learning_rate=0.1, natural=each) for each in (True, False))
    candidates = natural.ask()
    for search in (natural, plain):
        search.tell(candidates, [Score(value) for value in score(candidates).tolist()])
    np.testing.assert_allclose(natural.mu, 0.5**2 * plain.mu, rtol=1e-9)


def test_kohl_and_stones_estimate_is_unbiased_on_a_linear_function(spaces: Spaces) -> None:
    """Avg+ - Avg- spans two steps: its expectation is twice the slope, whatever the other parameters do."""
    slope = np.random.default_rng(3).standard_normal(12)
    search = KohlStone(spaces(12), policies=15, zero_rule=False)
    generator = np.random.default_rng(4)
    estimates = []
    for _ in range(4000):
        candidates = search._propose(generator)
        estimates.append(search.gradient(candidates, candidates @ slope + generator.standard_normal(15)))
    for column, exact in zip(np.array(estimates).T, 2 * slope, strict=True):
        known = column[column != 0]  # 0: one of the groups was empty
        assert abs(known.mean() - exact) < 4 * known.std() / np.sqrt(len(known))


def test_kohl_and_stones_rule_leaves_a_parameter_alone_whose_unperturbed_group_is_best(spaces: Spaces) -> None:
    search = KohlStone(spaces(2))
    candidates = np.array([[1.0, 1.0], [0.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [0.0, -1.0], [-1.0, -1.0]])
    values = np.array([0.0, 3.0, 1.0, 0.0, 2.0, 0.0])
    np.testing.assert_allclose(search.gradient(candidates, values), [0.0, 4 / 3 - 2 / 3])
    search.tell(candidates, [Score(value) for value in values.tolist()])
    np.testing.assert_allclose(search.recommended, [0.0, 2.0])  # eta steps along the direction alone


@pytest.mark.parametrize("central", [False, True])
def test_finite_differences_are_those_of_the_lecture(spaces: Spaces, central: bool) -> None:
    score, slope, curvature = quadratic(5)
    search = FiniteDifference(spaces(5), central=central, eps=0.5, eta=1.0)
    candidates = search.ask()
    assert len(candidates) == (10 if central else 6)
    one_sided = 0.0 if central else -curvature * 0.5  # the error of order eps
    np.testing.assert_allclose(search.gradient(candidates, score(candidates)), slope + one_sided, rtol=1e-9)


def test_an_evolution_strategys_samples_are_mirrored_and_only_ranks_count(spaces: Spaces) -> None:
    searches = [EvolutionStrategy(spaces(4), seed=2, policies=8) for _ in range(2)]
    candidates = searches[0].ask()
    np.testing.assert_allclose(candidates[0::2], -candidates[1::2])
    values = np.random.default_rng(1).standard_normal(8)
    for search, shaped in zip(searches, (values, np.exp(5 * values)), strict=True):
        search.tell(candidates, [Score(value) for value in shaped.tolist()])
    np.testing.assert_array_equal(searches[0].recommended, searches[1].recommended)


def test_a_child_has_each_parameter_from_a_parent_and_the_best_lives_on(spaces: Spaces) -> None:
    search = Genetic(spaces(12), policies=10, mutation=0.0, elite=1, crossover_points=3)
    candidates = search.ask()
    values = np.arange(10.0)[::-1]
    search.tell(candidates, [Score(value) for value in values.tolist()])
    children = search.ask()
    np.testing.assert_array_equal(children[0], candidates[0])
    switches = []
    for child in children[1:]:
        from_parent = np.array([np.flatnonzero(candidates[:5, k] == child[k]).tolist() for k in range(12)])
        assert len(set(from_parent.ravel().tolist())) <= 2
        switches.append(int((np.diff(from_parent.ravel()) != 0).sum()))
    assert max(switches) > 1  # several points, not one


def test_hill_climbing_moves_to_the_best_neighbour(spaces: Spaces) -> None:
    search: Search = SEARCHES["hill-climbing"](spaces(3), seed=1, policies=6)
    candidates = search.ask()
    assert set(np.unique(candidates)) <= {-1.0, 0.0, 1.0}
    search.tell(candidates, [Score(float(i == 4)) for i in range(6)])
    np.testing.assert_array_equal(search.recommended, candidates[4])


def test_the_cross_entropy_method_fits_mean_and_spread_of_the_elite(spaces: Spaces) -> None:
    search: Search = SEARCHES["cem"](spaces(3), policies=12, elite=0.25, noise=0.0)
    candidates = search.ask()
    values = np.random.default_rng(0).standard_normal(12)
    search.tell(candidates, [Score(value) for value in values.tolist()])
    elite = candidates[np.argsort(values)[-3:]]
    np.testing.assert_allclose(search.recommended, elite.mean(axis=0))
    drawn = (search.ask() - elite.mean(axis=0)) / elite.std(axis=0)
    assert 0.5 < drawn.std() < 1.5
