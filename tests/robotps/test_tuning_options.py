"""Trials by need, stop rules and gait families in whole runs: obeyed, and the same however a run was interrupted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from walking import create, settings, tuning

from robotps.errors import RobotpsError
from robotps.result import result_of
from robotps.run import Run
from robotps.search import SEARCHES
from robotps.settings import TuneSettings, check
from robotps.tuning import Tuning
from robotps.workers import InThisProcess

BY_NEED = {"repeats": "auto", "options": {"policies": 8}, "search": "es"}
BY_FAMILY = {"families": ("walk", "pace"), "search": "es", "options": {"policies": 4}, "iterations": 12, "repeats": 1}
STOPPED = {"stop": ("no-gain=2", "trials=60"), "iterations": None, "search": "hill-climbing"}


class Killed(BaseException):
    pass


def go(path: Path, asked: TuneSettings, killed_after: int = 0) -> Tuning:
    """A run to its end, by way of an interruption after so many trials."""
    if killed_after:
        left = [killed_after]

        def kill(_: object) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed

        with create(path, asked) as run, pytest.raises(Killed):
            tuning(run, asked, InThisProcess(), notify=kill).go()
        with Run.resume(path) as run:
            again = tuning(run, asked, InThisProcess())
            again.go()
        return again
    with create(path, asked) as run:
        whole = tuning(run, asked, InThisProcess())
        whole.go()
    return whole


def record(path: Path) -> list[tuple[Any, ...]]:
    with Run.open(path) as run:
        return sorted(
            (t.candidate.stage, t.candidate.iteration, t.candidate.position, t.repeat, t.candidate.family, t.score)
            for t in run.trials()
        )


@pytest.mark.parametrize("options", [BY_NEED, BY_FAMILY, STOPPED], ids=["by need", "families", "stopped"])
@pytest.mark.parametrize("killed_after", [2, 25])
def test_an_interrupted_run_goes_on_and_ends_the_same(
    tmp_path: Path, options: dict[str, Any], killed_after: int
) -> None:
    asked = settings(**options)
    go(tmp_path / "whole", asked)
    go(tmp_path / "killed", asked, killed_after)
    assert record(tmp_path / "killed") == record(tmp_path / "whole")


def test_repeats_by_need_go_to_gaits_whose_place_is_unclear(tmp_path: Path) -> None:
    asked = settings(**BY_NEED, iterations=6)
    go(tmp_path / "run", asked)
    with Run.open(tmp_path / "run") as run:
        trials = run.trials("search")
    repeats = Counter(Counter(trial.candidate.id for trial in trials).values())
    assert max(repeats) <= asked.most_repeats
    assert len(repeats) > 1
    assert 6 * 8 < len(trials) < 6 * 8 * asked.most_repeats
    later = [trial for trial in trials if trial.candidate.iteration > 0]
    assert Counter(Counter(trial.candidate.id for trial in later).values())[1] > 10  # clear losers: one trial


def test_a_budget_holds_with_repeats_by_need(tmp_path: Path) -> None:
    asked = settings(**BY_NEED, iterations=None, budget=90)
    go(tmp_path / "run", asked)
    with Run.open(tmp_path / "run") as run:
        assert run.count() <= 90
        assert len(run.candidates("search")) >= 16


@pytest.mark.parametrize(
    ("rule", "reason"),
    [("trials=20", "24 trials were run"), ("minutes=0.03", "the robot was busy for 0.0 min"), ("speed=0.01", "walked")],
)
def test_a_rule_ends_the_search_and_the_best_is_still_run_again(tmp_path: Path, rule: str, reason: str) -> None:
    stopped = go(tmp_path / "run", settings(iterations=50, stop=(rule,))).stopped
    assert reason in stopped
    with Run.open(tmp_path / "run") as run:
        assert len(run.trials("search")) < 50
        assert len(run.trials("best")) == 3
        assert run.meta("stopped") == stopped


def test_a_search_over_families_tries_several_and_its_best_gait_says_which(tmp_path: Path) -> None:
    asked = settings(**BY_FAMILY)
    searching = go(tmp_path / "run", asked)
    with Run.open(tmp_path / "run") as run:
        assert {candidate.family for candidate in run.candidates("start")} == {"trot"}
        tried = Counter(candidate.family for candidate in run.candidates("search"))
        assert set(tried) == {"trot", "walk", "pace"}
        result = result_of(run)
        best = run.trials("best")[0].candidate
        assert result is not None
        assert result.gait.family == (best.family if result.improved else "trot")
    assert len(searching.search.recommended) == 1 + len(searching.space)


def test_a_prior_from_another_run_is_kept_in_the_run_and_changes_what_is_tried(tmp_path: Path) -> None:
    from robotps.prior import Prior
    from robotps.settings import search_space, settings_of

    go(tmp_path / "simulated", settings(search="es", options={"policies": 8}))
    asked = settings(search="bayesian", iterations=4)
    with Run.open(tmp_path / "simulated") as run:
        space = search_space(run.description, settings_of(run))
        moved = space.starting_at({"locus_length": 0.02})
        prior = Prior.of(run, space, space, "trot")
        with pytest.raises(RobotpsError, match="no pace was scored in this run"):
            Prior.of(run, space, space, "pace")
        assert len(prior.points) == len({trial.candidate.id for trial in run.trials()})
        shifted = Prior.of(run, space, moved, "trot")
        lengths = [each[[p.name for p in space.free].index("locus_length")] for each in shifted.points[:1]]
        assert lengths == pytest.approx([(0.016 - 0.02) / 0.002])  # steps from the new start
    with_prior = asked.model_copy(update={"prior": prior})
    go(tmp_path / "without", asked)
    go(tmp_path / "with", with_prior)
    go(tmp_path / "killed", with_prior, 14)
    assert record(tmp_path / "with") != record(tmp_path / "without")
    assert record(tmp_path / "killed") == record(tmp_path / "with")
    with Run.open(tmp_path / "with") as run, pytest.raises(RobotpsError, match="a prior is for the search bayesian"):
        check(run.description, settings_of(run).model_copy(update={"search": "es"}))


@pytest.mark.slow
@pytest.mark.parametrize("search", SEARCHES)
def test_sixty_trials_improve_a_robot_without_noise(tmp_path: Path, search: str) -> None:
    asked = settings(search=search, options={}, iterations=None, budget=60, repeats=1)
    go(tmp_path / "run", asked)
    with Run.open(tmp_path / "run") as run:
        assert run.count() <= 60
        result = result_of(run)
    assert result is not None
    assert result.best_speed > result.initial_speed
    assert result.improved


def test_what_cannot_be_done_is_told_before_a_run_is_made() -> None:
    from robotps.description import load_description

    robot = load_description("bittle")
    with pytest.raises(RobotpsError, match="no stop rule is called 'tirals'"):
        check(robot, settings(stop=("tirals=3",)))
    with pytest.raises(RobotpsError, match="ahead must be 0"):
        check(robot, settings(repeats="auto", search="es", ahead=4))
    with pytest.raises(RobotpsError, match="nelder-mead tries one after the other"):
        check(robot, settings(repeats="auto", search="nelder-mead", options={}))
    with pytest.raises(RobotpsError, match="the choice of families cannot ask ahead"):
        check(robot, settings(search="es", ahead=4, families=("walk",)))
    with pytest.raises(RobotpsError, match="widen is for worlds drawn"):
        check(robot, settings(world={}, widen={"start": 0.2}))
    with pytest.raises(RobotpsError, match="widen is for worlds drawn"):
        check(robot, settings(world=None, widen={"start": 0.2}))
    with pytest.raises(RobotpsError, match="nelder-mead tries one after the other"):
        check(robot, settings(repeats="auto", search="nelder-mead", options={}, families=("walk",)))
    with pytest.raises(RobotpsError, match="repeats of 2 or more, a number"):
        check(robot, settings(repeats="auto", tail=0.5))
    with pytest.raises(RobotpsError, match="budget of 40 trials is too small"):
        check(robot, settings(**BY_NEED, iterations=None, budget=40))
    with pytest.raises(RobotpsError, match="noise is added to simulated trials only"):
        check(robot, settings(noise={"speed": 0.1}))
