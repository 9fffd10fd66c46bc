"""The softmax policy over families: its gradient, and that it learns which family to run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from robotps.parameters import ParameterSpace
from robotps.search import SEARCHES, Score, Search
from robotps.search.families import FamilyPolicy, with_families

Spaces = Callable[..., ParameterSpace]


def policy(space: ParameterSpace, count: int, seed: int = 0, search: str = "es") -> FamilyPolicy:
    def within(space: ParameterSpace, seed: int) -> Search:
        return SEARCHES[search](space, seed=seed)

    return FamilyPolicy(with_families(space, count), within, seed=seed)


@pytest.mark.parametrize("search", ["es", "kohl-stone", "bayesian", "cma-es"])
def test_it_learns_which_family_is_best_and_tunes_within_it(spaces: Spaces, search: str) -> None:
    generator = np.random.default_rng(0)
    learner = policy(spaces(3), 4, search=search)
    height = np.array([0.3, 0.5, 0.2, 0.4])
    drawn: list[int] = []
    for _ in range(60):
        candidates = learner.ask()
        family = int(candidates[0, 0])
        drawn.append(family)
        hill = height[family] - 0.002 * ((candidates[:, 1:] - 3) ** 2).sum(axis=1)
        learner.tell(candidates, [Score(float(v)) for v in hill + 0.02 * generator.standard_normal(len(hill))])
    assert learner.recommended[0] == 1
    assert Counter(drawn[-20:])[1] > 10
    assert np.linalg.norm(learner.recommended[1:] - 3) < 3
    assert learner.policy.sum() == pytest.approx(1)


def test_its_step_is_the_reward_above_what_the_policy_expects_times_the_score_function(spaces: Spaces) -> None:
    learner = policy(spaces(2), 3)
    expected = np.array([1.0, 3.0, 2.0])
    for family, reward in enumerate(expected.tolist()):  # each once, before any is preferred
        candidates = learner.ask()
        assert (candidates[:, 0] == family).all()
        learner.tell(candidates, [Score(reward)] * len(candidates))
    np.testing.assert_array_equal(learner.policy, np.full(3, 1 / 3))
    candidates = learner.ask()
    family = int(candidates[0, 0])
    before = learner.policy
    learner.tell(candidates, [Score(4.0)] * len(candidates))
    step = 0.5 * (4.0 - 2.0) / np.std([*expected, 4.0]) * (np.eye(3)[family] - before)
    np.testing.assert_allclose(learner.policy, np.exp(step) / np.exp(step).sum())


def test_families_that_scored_alike_do_not_lock_the_policy_on_one_for_ever(spaces: Spaces) -> None:
    better = []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        learner = policy(spaces(1), 2, seed=seed)
        for _ in range(40):
            candidates = learner.ask()
            mean = [0.30, 0.33][int(candidates[0, 0])] + 0.02 * generator.standard_normal()
            learner.tell(candidates, [Score(mean)] * len(candidates))
        better.append(float(learner.policy[1]))
    assert min(better) > 0.05
    assert np.mean(np.array(better) > 0.9) > 0.8


def test_a_family_that_could_not_be_scored_is_no_better_than_those_that_could(spaces: Spaces) -> None:
    learner = policy(spaces(1), 3)
    for reward in (None, -5.0, -4.0):  # scores below 0: the first family's must not be taken for 0
        candidates = learner.ask()
        learner.tell(candidates, [Score(reward)] * len(candidates))
    assert learner.recommended[0] == 2


def test_before_anything_is_known_the_start_is_recommended_in_its_family(spaces: Spaces) -> None:
    np.testing.assert_array_equal(policy(spaces(2), 3).recommended, np.zeros(3))
    with pytest.raises(ValueError, match="first parameter must be 'family'"):
        FamilyPolicy(spaces(2), lambda space, seed: SEARCHES["es"](space, seed=seed))
