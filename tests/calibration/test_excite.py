"""An excitation is logged trial by trial, and goes on without a motion that the robot cannot make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from calibration.excitation import Planned, chirp
from calibration.excite import excite
from calibration.logged import MOTIONS, logged_trials
from hardware.session import Session
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.gait import initial_gait
from robotps.odometer import Truth
from robotps.robot import Motion, Observation, Robot, RobotFault
from robotps.run import Run
from robotps.trial import TrialSettings
from sim.robot import SimulatedRobot
from sim.world import World

DKITTY = load_description("dkitty")
GAIT = initial_gait(DKITTY)
PLANNED = [
    Planned("chirp", True, GAIT, TrialSettings(seconds=0.3, warm_up=0.0), chirp(DKITTY, 1.0)),
    Planned("slow gait", False, GAIT, TrialSettings(seconds=0.3, warm_up=0.1)),
]


class Jammed(SimulatedRobot):
    def play(self, motion: Motion, seconds: float) -> Iterator[Observation]:
        raise RobotFault("it jams")


class Bench:
    """A session with simulated robots; `jams`: where the robot jams."""

    def __init__(self, *jams: str) -> None:
        self.jams = jams

    @contextmanager
    def _robot(self, where: str) -> Iterator[Robot]:
        kind = Jammed if where in self.jams else SimulatedRobot
        with kind(DKITTY, on_stand=where == "stand") as robot:
            yield robot

    def __call__(self) -> Any:
        return self._robot("floor")

    def on_stand(self) -> Any:
        return self._robot("stand")


def made(path: Path, *jams: str) -> list[str]:
    told: list[str] = []
    excite(PLANNED, DKITTY, World(), cast(Session, Bench(*jams)), Truth(), path, 1, told.append)
    return told


def test_motions_are_logged_as_what_they_were(tmp_path: Path) -> None:
    made(tmp_path / "run")
    chirped, walked = logged_trials([tmp_path / "run"])
    assert (chirped.on_stand, chirped.gait, chirped.speed) == (True, None, None)
    assert "chirp" in chirped.name
    assert not walked.on_stand
    assert walked.gait is not None
    assert walked.gait.parameters == pytest.approx(GAIT.parameters)
    assert len(chirped.telemetry.time) == 30


def test_a_motion_at_which_the_robot_falls_in_the_world_it_is_begun_with_is_left_out(tmp_path: Path) -> None:
    told: list[str] = []
    stormy = World.model_validate({"push": {"force_n": 500.0, "duration_s": 0.3, "every_s": 0.3}})
    excite(PLANNED, DKITTY, stormy, cast(Session, Bench()), Truth(), tmp_path / "run", 1, told.append)
    assert told[0] == "left out, as the simulated robot falls: slow gait"
    assert [trial.on_stand for trial in logged_trials([tmp_path / "run"])] == [True]


def test_a_motion_is_noted_before_it_is_made(tmp_path: Path) -> None:
    """Killed right after a trial, a motion on a stand must not pass for a gait."""
    notes = []

    class Looking(SimulatedRobot):
        def play(self, motion: Motion, seconds: float) -> Iterator[Observation]:
            with Run.open(tmp_path / "run") as run:
                notes.append(run.meta(MOTIONS))
            return super().play(motion, seconds)

    class Watched(Bench):
        @contextmanager
        def _robot(self, where: str) -> Iterator[Robot]:
            with Looking(DKITTY, on_stand=where == "stand") as robot:
                yield robot

    excite(PLANNED, DKITTY, World(), cast(Session, Watched()), Truth(), tmp_path / "run", 1, lambda line: None)
    assert notes == [{"1": {"name": "chirp", "on_stand": True}}] * 2


def test_a_motion_at_fault_twice_is_left_out(tmp_path: Path) -> None:
    told = made(tmp_path / "run", "stand")
    assert told[1:4] == ["chirp: it jams", "chirp: it jams", "chirp is left out"]
    with Run.open(tmp_path / "run") as run:
        assert [trial.ending for trial in run.trials()] == ["fault", "fault", "finished"]
    assert [trial.on_stand for trial in logged_trials([tmp_path / "run"])] == [False]


def test_a_robot_that_can_do_nothing_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(RobotpsError, match="it jams"):
        made(tmp_path / "run", "stand", "floor")
