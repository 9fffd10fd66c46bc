"""What a gait is worth over many worlds, and worlds that are drawn farther apart as the search succeeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import AtOnce
from walking import create, settings, tuning

from robotps.cli.simulation import DrawnWorlds
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.performing import Narrowing
from robotps.result import result_of
from robotps.run import Run
from robotps.scores import score_of
from robotps.settings import Widening, check
from robotps.summary import summary
from robotps.trial import Trial

KITTY = load_description("dkitty")


class Drawn:
    """Worlds that say how they were drawn; they mean nothing to the robot."""

    def __call__(self, seed: int) -> Mapping[str, Any]:
        return self.narrowed(1.0)(seed)

    def narrowed(self, width: float) -> Callable[[int], Mapping[str, Any]]:
        return lambda seed: {"seed": seed, "width": width}


def test_the_score_over_worlds_is_the_mean_of_the_worst_share(tmp_path: Path) -> None:
    asked = settings(repeats=8, tail=0.25, iterations=1)
    with create(tmp_path / "run", asked) as run:
        tuning(run, asked, AtOnce()).go()
        trials = run.trials("search", 0)
        own = [trial for trial in trials if trial.candidate.id == trials[0].candidate.id]
    scores = sorted(trial.score or 0.0 for trial in own)
    assert len(scores) == 8
    assert score_of(own, tail=0.25).value == pytest.approx(np.mean(scores[:2]))
    assert score_of(own, tail=0.0).value == scores[0]
    assert score_of(own).value == pytest.approx(np.mean(scores))


def test_the_standard_error_of_the_mean_of_the_worst_is_how_much_it_scatters(tmp_path: Path) -> None:
    with create(tmp_path / "run", settings(repeats=2, iterations=1)) as run:
        tuning(run, settings(repeats=2, iterations=1), AtOnce()).go()
        trial = run.trials("search", 0)[0]
    generator = np.random.default_rng(5)
    many = [
        score_of([replace(trial, repeat=n, score=value) for n, value in enumerate(scores)], tail=0.25)
        for scores in generator.normal(size=(1000, 80)).tolist()
    ]
    scatter = np.std([score.value for score in many], ddof=1)
    assert np.mean([score.std_error for score in many]) == pytest.approx(scatter, rel=0.15)


def test_a_run_over_worlds_is_listed_with_the_speed_of_its_result(tmp_path: Path) -> None:
    asked = settings(repeats=4, tail=0.25, iterations=2, confirm=4)
    with create(tmp_path / "run", asked) as run:
        tuning(run, asked, AtOnce()).go()
        # on average the best gait is better than the start, in its worst trial it is not
        for stage, scores in (("start", (0.5, 0.5, 0.5, 0.5)), ("best", (0.9, 0.9, 0.9, 0.1))):
            for trial, score in zip(run.trials(stage), scores, strict=True):
                run._database.execute("UPDATE trial SET score = ? WHERE id = ?", (score, trial.id))
        result = result_of(run)
    assert result is not None
    assert not result.improved
    assert summary(tmp_path / "run").best_speed == pytest.approx(result.best_speed)


def test_a_best_gait_that_is_the_start_is_no_improvement_however_lucky(tmp_path: Path) -> None:
    asked = settings(confirm=4)
    with create(tmp_path / "run", asked) as run:
        started = tuning(run, asked, AtOnce())
        started.score_start()
        started.evaluate("best", started.space.start[None, :] * 0, 4)
        run._database.execute("UPDATE trial SET score = score + 0.01 WHERE id > 4")
        run._database.execute("UPDATE trial SET metrics = json_set(metrics, '$.speed', 0.9) WHERE id > 4")
        result = result_of(run)
    assert result is not None
    assert not result.improved
    listed = summary(tmp_path / "run")
    assert listed.best_speed == listed.initial_speed == pytest.approx(result.best_speed)


def test_robots_that_walked_start_and_best_unequally_often_are_listed_as_the_result_says(tmp_path: Path) -> None:
    asked = settings(repeats=2, confirm=4)
    with create(tmp_path / "run", asked) as run:
        tuning(run, asked, AtOnce()).go()
        for trial in run.trials():
            first = trial.repeat == 0 if trial.candidate.stage == "best" else trial.repeat < 3
            first = trial.repeat % 2 == 0 if trial.candidate.stage in ("search", "finalist") else first
            lucky = 0.0 if first else 0.1
            run._database.execute(
                "UPDATE trial SET robot = ?, score = score + ?, metrics = json_set(metrics, '$.speed', ?) WHERE id = ?",
                ("A" if first else "B", lucky, trial.metrics["speed"] + lucky, trial.id),
            )
        result = result_of(run)
    assert result is not None
    listed = summary(tmp_path / "run")
    assert listed.initial_speed == pytest.approx(result.initial_speed)
    assert listed.best_speed == pytest.approx(result.best_speed)


def test_what_is_no_number_is_not_measured_and_the_run_is_listed(tmp_path: Path) -> None:
    asked = settings(confirm=2, iterations=1)
    with create(tmp_path / "run", asked) as run:
        tuning(run, asked, AtOnce()).score_start()
        trial = run.trials("start")[0]
        lost = Trial("fault", 0.0, 0.0, float("nan"), 0.0, drift=float("nan"))
        candidate = run.add_candidates("robot", 0, ["trot"], trial.candidate.vector[None])[0]
        run.add_trial(
            candidate,
            repeat=0,
            robot="x",
            seed=0,
            world=None,
            trial=lost,
            score=None,
            digest=None,
            started="",
            seconds=0.0,
        )
        assert run.trials("robot")[0].metrics["drift"] is None
    assert summary(tmp_path / "run").initial_speed == pytest.approx(trial.metrics["speed"], abs=0.2)


def test_a_tail_of_one_trial_is_refused() -> None:
    with pytest.raises(RobotpsError, match="repeats of 2 or more"):
        check(KITTY, settings(repeats=1, tail=0.5))


def test_candidates_of_an_iteration_share_their_worlds_and_iterations_do_not(tmp_path: Path) -> None:
    asked = settings()
    with create(tmp_path / "run", asked) as run:
        tuning(run, asked, AtOnce(), draw_world=Drawn()).go()
        seeds = [{trial.seed for trial in run.trials("search", number)} for number in range(3)]
    assert [len(each) for each in seeds] == [2, 2, 2]
    assert not seeds[0] & seeds[1]


def test_worlds_are_drawn_farther_apart_after_success_and_a_resumed_run_goes_on_alike(tmp_path: Path) -> None:
    asked = settings(iterations=5, widen={"start": 0.2, "step": 0.3})

    def widths(run: Run) -> list[set[float]]:
        return [{(trial.world or {})["width"] for trial in run.trials("search", number)} for number in range(5)]

    with create(tmp_path / "whole", asked) as run:
        tuning(run, asked, AtOnce(), draw_world=Drawn()).go()
        whole = widths(run)
        assert {(trial.world or {})["width"] for trial in run.trials("best")} <= {1.0}
    assert whole == [{0.2}, {0.5}, {0.8}, {1.0}, {1.0}]

    class Stop(Exception):
        pass

    def stop(progress: Any) -> None:
        if progress.done == 18:
            raise Stop

    with create(tmp_path / "parts", asked) as run, pytest.raises(Stop):
        tuning(run, asked, AtOnce(), draw_world=Drawn(), notify=stop).go()
    with Run.resume(tmp_path / "parts") as run:
        tuning(run, asked, AtOnce(), draw_world=Drawn()).go()
        assert widths(run) == whole


def test_the_width_follows_how_many_trials_finished() -> None:
    widen = Widening(start=0.2)
    assert widen.after(0.5, ["finished"] * 19 + ["fell"]) == pytest.approx(0.6)
    assert widen.after(0.5, ["finished"] * 7 + ["fell"] * 3) == 0.5
    assert widen.after(0.5, ["finished", "fell"]) == pytest.approx(0.4)
    assert widen.after(0.25, ["fell"]) == 0.2
    assert widen.after(0.5, ["refused", "fault"]) == 0.5
    assert Widening().after(1.0, ["fell"]) == 1.0


def test_narrowed_worlds_lie_between_the_nominal_one_and_the_draw() -> None:
    draw = DrawnWorlds(
        KITTY, {}, {"servo": {"strength_scale": {"uniform": [0.5, 0.9]}, "latency_s": {"choice": [0.03]}}}
    )
    assert isinstance(draw, Narrowing)
    full, half, none = draw(3), draw.narrowed(0.5)(3), draw.narrowed(0.0)(3)
    assert 0.5 <= full["servo"]["strength_scale"] <= 0.9
    assert half["servo"]["strength_scale"] == pytest.approx((1 + full["servo"]["strength_scale"]) / 2)
    assert half["servo"]["latency_s"] == pytest.approx((KITTY.servo.latency + 0.03) / 2)
    assert none["servo"] == {"latency_s": KITTY.servo.latency}
