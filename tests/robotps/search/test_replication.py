"""The race: trials go where a gait's place is unclear, and the right gaits come out."""

from __future__ import annotations

import numpy as np
import pytest

from robotps.search.replication import Race, Scatter


def test_scatter_is_the_pooled_variance_within_repeats() -> None:
    scatter = Scatter.of([[1.0, 3.0], [2.0], [5.0, 5.0, 8.0]])
    assert scatter.freedom == 3
    assert scatter.variance == pytest.approx((2 + 6) / 3)
    assert Scatter.of([[1.0], [2.0]]) == Scatter(0.0, 0)
    both = Scatter(1.0, 2) + Scatter(4.0, 4)
    assert (both.variance, both.freedom) == (3.0, 6)


def test_a_race_ends_for_gaits_that_noise_cannot_move_across_the_line() -> None:
    race = Race(best=2, least=1, most=4)
    noise = Scatter(0.01**2, 30)
    assert race.undecided([[0.50], [0.49], [0.30], [0.29]], noise) == []
    assert race.undecided([[0.50], [0.41], [0.40], [0.29]], noise) == [1, 2]
    assert race.undecided([[0.50], [0.40], None, [0.40]], noise) == [1, 3]  # what cannot be scored gets no more
    assert race.undecided([[0.50], [0.41] * 4, [0.40] * 4, [0.29]], noise) == []


def test_nothing_is_clear_before_anything_was_repeated() -> None:
    assert Race(best=1, least=1).undecided([[0.9], [0.1], [0.5]]) == [0, 1, 2]
    assert Race(best=1, least=2).undecided([[0.9], [0.1, 0.2], []]) == [0, 2]
    assert Race(best=3).undecided([[0.9, 0.8], [0.1, 0.2]]) == []


def test_a_race_finds_the_best_more_often_than_as_many_trials_shared_out_evenly() -> None:
    generator = np.random.default_rng(7)
    truth, noise = np.linspace(0.3, 0.2, 12), 0.03
    right, even, spent = 0, 0, 0
    for _ in range(150):
        race = Race(best=3, least=1, most=8)
        values = [[float(generator.normal(v, noise))] for v in truth]
        while unclear := race.undecided(values, Scatter(noise**2, 50)):
            for index in unclear:
                values[index].append(float(generator.normal(truth[index], noise)))
        trials = sum(map(len, values))
        spent += trials
        right += len(set(np.argsort([-np.mean(v) for v in values])[:3].tolist()) & {0, 1, 2})
        means = generator.normal(truth, noise / np.sqrt(trials / 12))
        even += len(set(np.argsort(-means)[:3].tolist()) & {0, 1, 2})
    assert right > even
    assert spent / 150 < 12 * 8


@pytest.mark.parametrize("wrong", [{"best": 0}, {"best": 1, "least": 3, "most": 2}, {"best": 1, "confidence": 1.0}])
def test_a_wrong_race_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter({"best": wrong["best"]} if len(wrong) == 1 else [*wrong][-1:]))):
        Race(**wrong)  # type: ignore[arg-type]
