"""Which parameters mattered."""

from __future__ import annotations

import numpy as np

from robotps.sensitivity import sensitivity

SLOPES = np.array([0.03, -0.02, 0.0, 0.0])


def _search(noise: float, iterations: int = 20, size: int = 15, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Candidates one step around a centre that moves uphill, as a policy gradient's do."""
    generator = np.random.default_rng(seed)
    number = np.repeat(np.arange(iterations), size)
    vectors = generator.integers(-1, 2, size=(len(number), 4)) + 2.0 * number[:, None] * np.sign(SLOPES)
    vectors[:, 3] += number  # drifts along without any effect
    return vectors, vectors @ SLOPES + generator.normal(0, noise, len(number)), number


def test_without_noise_the_slopes_are_found_exactly() -> None:
    found = sensitivity(*_search(noise=0.0))
    assert found is not None
    np.testing.assert_allclose(found.slope, SLOPES, atol=1e-5)
    assert found.explained > 0.9999


def test_intervals_hold_the_true_slopes_about_as_often_as_they_say() -> None:
    held = []
    for seed in range(40):
        found = sensitivity(*_search(noise=0.05, seed=seed))
        assert found is not None
        held += ((found.low <= SLOPES) & (found.high >= SLOPES)).tolist()
    assert 0.88 <= np.mean(held) <= 0.99


def test_what_merely_drifted_along_with_the_improvement_gets_no_credit() -> None:
    vectors, scores, number = _search(noise=0.02)
    found = sensitivity(vectors, scores + 0.05 * number, number)
    assert found is not None
    assert found.low[3] < 0 < found.high[3]
    assert abs(found.slope[3]) < 0.005


def test_too_few_candidates_say_nothing() -> None:
    vectors, scores, number = _search(noise=0.0)
    assert sensitivity(vectors[:14], scores[:14], number[:14]) is None
    assert sensitivity(vectors[:15], scores[:15], number[:15]) is not None


def test_searches_with_one_candidate_an_iteration_are_compared_across_neighbours() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(60, 4))
    found = sensitivity(vectors, vectors @ SLOPES, np.arange(60))
    assert found is not None
    np.testing.assert_allclose(found.slope, SLOPES, atol=1e-5)


def test_families_that_take_turns_are_not_compared_with_each_other() -> None:
    vectors, scores, number = _search(noise=0.0, size=5)
    families = np.array(["trot", "walk", "bound"])[number % 3]
    level = {"trot": 0.0, "walk": 0.3, "bound": -0.4}
    scores = scores + np.array([level[family] for family in families])
    found = sensitivity(vectors, scores, number, families)
    assert found is not None
    np.testing.assert_allclose(found.slope, SLOPES, atol=1e-5)
