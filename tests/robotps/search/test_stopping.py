"""Stop rules: each says why, and only when it is so."""

from __future__ import annotations

import numpy as np
import pytest

from robotps.errors import RobotpsError
from robotps.search.stopping import History, stop_rule


def test_budgets_of_trials_and_of_minutes() -> None:
    assert stop_rule("trials=20")(History(trials=19)) == ""
    assert stop_rule("trials=20")(History(trials=21)) == "21 trials were run"
    assert stop_rule("minutes=1.5")(History(seconds=89)) == ""
    assert "1.6 min" in stop_rule("minutes=1.5")(History(seconds=95))


def test_a_target_is_reached_by_an_iteration_not_by_a_lucky_trial() -> None:
    rule = stop_rule("speed=0.3")
    assert rule(History(speeds=[0.1, 0.9, 0.1])) == "the last iteration walked 0.367 m/s on average"
    assert rule(History(speeds=[0.1, 0.45])) == ""
    assert rule(History([[0.9, 0.9]])) == ""  # a score is not a speed


def test_no_gain_is_a_test_that_errs_as_often_as_it_says() -> None:
    rule = stop_rule("no-gain=5")
    generator = np.random.default_rng(0)
    flat = [rule(History(generator.normal(1, 0.1, (10, 12)).tolist())) != "" for _ in range(200)]
    assert np.mean(flat) > 0.9  # one in twenty looks like a gain
    rising = generator.normal(0, 0.1, (200, 10, 12)) + np.linspace(1, 1.3, 10)[:, None]
    assert not any(rule(History(each.tolist())) for each in rising)
    assert rule(History([[1.0]] * 9)) == ""  # too early to tell
    assert rule(History([[1.0]] * 10)) != ""


def test_no_gain_goes_on_where_so_few_scores_could_not_show_one_and_stops_where_there_are_none() -> None:
    assert stop_rule("no-gain=2")(History([[1.0]] * 4)) == ""
    assert stop_rule("no-gain=3")(History([[1.0]] * 6)) == ""  # p is 0.05 at best
    assert "nothing was scored" in stop_rule("no-gain=2")(History([[]] * 4))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tirals=3", "no stop rule is called 'tirals': known are trials, minutes, speed, no-gain"),
        ("trials", "expected RULE=NUMBER"),
        ("trials=few", "expected RULE=NUMBER"),
        ("no-gain=1", "no-gain must be at least 2"),
        ("no-gain=2.9", "a whole number of iterations"),
        ("speed=nan", "a finite number"),
        ("minutes=inf", "a finite number"),
        ("minutes=0", "minutes must be above 0"),
    ],
)
def test_a_rule_that_is_none_is_told_with_the_mend(text: str, said: str) -> None:
    with pytest.raises(RobotpsError, match=said):
        stop_rule(text)
