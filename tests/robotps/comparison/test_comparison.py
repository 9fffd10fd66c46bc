"""A comparison of searches: ordinary runs, resumed like them, and what their recommended gaits are worth."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from walking import OpenWalking, same_world

from robotps.comparison.checkpoints import recommendations
from robotps.comparison.comparison import Arena, Comparison, settings_in
from robotps.comparison.outcome import OUTCOME, Outcome, outcomes_in, summaries
from robotps.comparison.output import as_csv, markdown, picture
from robotps.comparison.settings import ComparisonSettings, Contestant
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.measurement import MeasurementNoise
from robotps.run import Run
from robotps.settings import settings_of
from robotps.trial import Trial, TrialSettings
from robotps.workers import InThisProcess


def asked(*searches: str, **changed: object) -> ComparisonSettings:
    return ComparisonSettings.model_validate(
        {
            "robots": ("bittle",),
            "contestants": tuple(map(Contestant.named, searches)),
            "seeds": 2,
            "budget": 40,
            "trial": TrialSettings(seconds=0.1, warm_up=0.0),
            **changed,
        }
    )


def arenas(*names: str) -> dict[str, Arena]:
    found = {}
    for name in names or ("bittle",):
        robot = load_description(name)
        found[name] = Arena(robot, {}, None, OpenWalking(robot), same_world)
    return found


def test_the_start_and_what_was_recommended_on_the_way_are_run_again_without_noise(tmp_path: Path) -> None:
    comparison = Comparison.create(tmp_path, asked("es", "kohl-stone:repeats=2,policies=5"), arenas())
    comparison.go(InThisProcess())
    outcomes = outcomes_in(tmp_path)
    assert {(o.search, o.seed) for o in outcomes} == {
        (label, seed) for label in ("es", "kohl-stone:repeats=2,policies=5") for seed in (0, 1)
    }
    for outcome in outcomes:
        trials = [point.trials for point in outcome.checkpoints]
        assert trials[0] == 0
        assert trials[-1] == 40
        assert trials == sorted(set(trials))
        assert outcome.checkpoints[-1].speed > 1.2 * outcome.checkpoints[0].speed
        assert outcome.checkpoints[-1].minutes == pytest.approx(40 * 0.1 / 60, rel=0.05)
    same_seed = [o.checkpoints[0].speed for o in outcomes if o.seed == 1]
    assert len(same_seed) == 2
    assert same_seed[0] == same_seed[1]  # the same gait on the same fresh seed, whatever the search


def test_a_recommendation_is_that_of_the_search_as_it_was_then(tmp_path: Path) -> None:
    comparison = Comparison.create(tmp_path, asked("es", seeds=1), arenas())
    comparison.go(InThisProcess())
    with Run.open(tmp_path / "bittle-es-0") as run:
        found = recommendations(run, np.array([20.0]))
        assert [trials for trials, _, _ in found] == [0, 16, 40]
        short = settings_of(run).model_copy(update={"iterations": 2, "budget": None})
    from walking import tuning

    with Run.create(tmp_path / "short", short.model_dump(mode="json"), load_description("bittle")) as run:
        shorter = tuning(run, short, InThisProcess())
        shorter.go()
        np.testing.assert_array_equal(shorter.search.recommended, found[1][2])


def test_a_comparison_cut_short_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    settings = asked("es", "cem", seeds=1, budget=24)
    whole = Comparison.create(tmp_path / "whole", settings, arenas())
    whole.go(InThisProcess())

    class Killed(BaseException):
        pass

    left = [45]

    def kill(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    cut = Comparison.create(tmp_path / "cut", settings, arenas())
    with pytest.raises(Killed):
        cut.go(InThisProcess(), kill)
    assert len(outcomes_in(tmp_path / "cut")) == 1  # and what was found until then can be shown
    again = Comparison(tmp_path / "cut", settings_in(tmp_path / "cut"), arenas())
    again.go(InThisProcess())
    assert as_csv(outcomes_in(tmp_path / "cut")) == as_csv(outcomes_in(tmp_path / "whole"))


def test_a_robot_that_was_described_otherwise_is_not_mixed_in(tmp_path: Path) -> None:
    comparison = Comparison.create(tmp_path / "a", asked("es"), arenas())
    comparison.go(InThisProcess())
    (entry, _) = comparison.entries()
    (tmp_path / "a" / entry.folder / OUTCOME).unlink()  # as if it had been cut short
    heavy = load_description("bittle")
    heavy = heavy.model_copy(update={"body": heavy.body.model_copy(update={"mass": 1.0})})
    other = {"bittle": Arena(heavy, {}, None, OpenWalking(heavy), same_world)}
    with pytest.raises(RobotpsError, match="'bittle' was described otherwise then"):
        Comparison(tmp_path / "a", asked("es"), other).go(InThisProcess())


def test_a_comparison_does_not_go_on_in_another_world(tmp_path: Path) -> None:
    comparison = Comparison.create(tmp_path / "a", asked("es", seeds=1), arenas())
    comparison.go(InThisProcess())
    robot = load_description("bittle")
    slippery = {"bittle": Arena(robot, {"floor": {"friction": 0.2}}, None, OpenWalking(robot), same_world)}
    with pytest.raises(RobotpsError, match="'bittle', or its world or randomization file, is not what it was"):
        Comparison(tmp_path / "a", settings_in(tmp_path / "a"), slippery).go(InThisProcess())
    Comparison(tmp_path / "a", settings_in(tmp_path / "a"), arenas()).go(InThisProcess())


def test_what_could_not_be_done_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(RobotpsError, match="es:sigm=3 on bittle: es has no option 'sigm'"):
        Comparison.create(tmp_path / "a", asked("es:sigm=3"), arenas())
    with pytest.raises(RobotpsError, match="genetic on bittle: a budget of 6 trials is too small"):
        Comparison.create(tmp_path / "a", asked("genetic", budget=6), arenas())
    with pytest.raises(RobotpsError, match="named twice"):
        Comparison.create(tmp_path / "a", asked("es", "es"), arenas())
    assert not (tmp_path / "a").exists()
    with pytest.raises(RobotpsError, match="expected NAME:OPTION=VALUE"):
        Contestant.named("es:sigma")
    with pytest.raises(RobotpsError, match="repeats must be a number from 1"):
        Contestant.named("es:repeats=0")
    with pytest.raises(RobotpsError, match="search 'es:sigma=nan'"):
        Contestant.named("es:sigma=nan")
    with pytest.raises(ValueError, match="seed \\+ seeds must be"):
        asked("es", seed=2**32 - 1, seeds=2)


def outcome(search: str, seed: int, *points: tuple[int, float]) -> Outcome:
    return Outcome.model_validate(
        {
            "robot": "bittle",
            "search": search,
            "seed": seed,
            "wall_seconds": 1.0,
            "checkpoints": tuple({"trials": n, "minutes": n / 10, "speed": v} for n, v in points),
        }
    )


OUTCOMES = [
    outcome("kohl-stone:repeats=3", 0, (0, 0.1), (45, 0.2), (90, 0.3)),
    outcome("kohl-stone:repeats=3", 1, (0, 0.1), (45, 0.2), (90, 0.5)),
    outcome("es", 0, (0, 0.1), (10, 0.3), (20, 0.45), (90, 0.6)),
    outcome("es", 1, (0, 0.1), (10, 0.41), (20, 0.2), (90, 0.45)),  # there for good at 90 only
    outcome("es", 2, (0, 0.1), (10, 0.45), (20, 0.25), (90, 0.3)),
]


def test_trials_to_the_target_are_a_median_in_which_seeds_that_never_came_there_count() -> None:
    kohl_stone, es = summaries(OUTCOMES, ["bittle"], ["kohl-stone:repeats=3", "es"], None)
    assert kohl_stone.target == es.target == pytest.approx(0.4)  # its own final median
    assert (kohl_stone.trials_to_target, kohl_stone.reached) == (None, 1)
    assert (es.trials_to_target, es.minutes_to_target, es.reached) == (90, 9.0, 2)
    assert es.final == pytest.approx((0.375, 0.45, 0.525))
    (alone,) = summaries(OUTCOMES, ["bittle"], ["es"], None)
    assert alone.target == pytest.approx(0.405)  # nine tenths of the best
    (given,) = summaries(OUTCOMES, ["bittle"], ["es"], 0.2)
    assert given.trials_to_target == 10


def test_table_rows_and_picture_say_what_was_found(tmp_path: Path) -> None:
    found = summaries(OUTCOMES, ["bittle"], ["kohl-stone:repeats=3", "es"], None)
    assert "| bittle | es | 0.450 (0.375-0.525) | 4.50 | 90 | 9 | 2/3 | 1 |" in markdown(found)
    rows = list(csv.DictReader(as_csv(OUTCOMES).splitlines()))
    assert len(rows) == 18
    assert rows[2] == {
        "robot": "bittle",
        "search": "kohl-stone:repeats=3",
        "seed": "0",
        "trials": "90",
        "minutes": "9.0000",
        "speed_m_s": "0.3",
    }
    picture(OUTCOMES, ["kohl-stone:repeats=3", "es"], {"bittle": 0.4}, tmp_path / "comparison.png")
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_measured_speeds_scatter_and_some_trials_fall() -> None:
    noise = MeasurementNoise(speed=0.03, fall=0.02)
    trial = Trial("finished", speed=0.3, distance=1.5, duration=6.0, unreachable=0.0)
    measured = [noise.measured(trial, (1, n)) for n in range(4000)]
    assert measured[7] == noise.measured(trial, (1, 7))
    walked = np.array([each.speed for each in measured if each.ending == "finished"])
    assert walked.mean() == pytest.approx(0.3, rel=0.002)
    assert walked.std() == pytest.approx(0.009, rel=0.05)
    falls = [each for each in measured if each.ending == "fell"]
    assert 0.013 < len(falls) / 4000 < 0.027
    assert all(0 <= each.speed < 0.33 for each in falls)
    assert all(each.distance == pytest.approx(5 * each.speed) for each in measured)
    fault = Trial("fault", 0.0, 0.0, 0.0, 0.0)
    assert noise.measured(fault, (1, 2)) is fault
    assert MeasurementNoise().measured(trial, (1, 2)) is trial
