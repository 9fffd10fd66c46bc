"""The robot walks back by itself: the path leads home, steering leads onto it, and a person helps where it fails."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.odometer import Pose, make_odometer
from hardware.person import Assistant
from hardware.robot import SerialRobot
from hardware.session import Session
from hardware.virtual.robot import VirtualRobot
from hardware.walk_back import AHEAD, SPACING, WalksBack, arrived, curvature_to, shortest_path, turns
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.gait import initial_gait
from robotps.trial import TrialSettings, run_trial

DKITTY = load_description("dkitty")
PLACES, YAWS = st.floats(-2, 2), st.floats(-math.pi, math.pi)
POSES = st.builds(lambda x, y, yaw: Pose(x, y, yaw, 1.0), PLACES, PLACES, YAWS)


@settings(deadline=None)  # a loaded machine
@given(POSES, POSES, st.floats(0.2, 1.0))
def test_the_path_ends_at_the_start_in_its_heading_and_bends_no_more_than_it_may(
    here: Pose, there: Pose, radius: float
) -> None:
    path = shortest_path(here, there, radius)
    end = len(path) - 1 - round(AHEAD / SPACING)
    assert path[0] == pytest.approx((here.x, here.y))
    assert math.dist(path[end], (there.x, there.y)) < 0.005
    ways = np.diff(path, axis=0)
    headings = np.unwrap(np.arctan2(ways[:, 1], ways[:, 0]))
    assert abs(math.remainder(headings[-1] - there.yaw, 2 * math.pi)) < 1e-6
    assert np.abs(np.diff(headings)).max() <= SPACING / radius + 1e-6


@settings(deadline=None)  # a loaded machine
@given(POSES, st.floats(0.2, 2.0), st.floats(-1.0, 1.0))
def test_steering_finds_the_arc_that_leads_through_a_point(here: Pose, ahead: float, curvature: float) -> None:
    way = min(ahead, 1.0)
    turned = curvature * way
    along = way if abs(curvature) < 1e-9 else math.sin(turned) / curvature
    across = 0.0 if abs(curvature) < 1e-9 else (1 - math.cos(turned)) / curvature
    cos, sin = math.cos(here.yaw), math.sin(here.yaw)
    aim = np.array([here.x + cos * along - sin * across, here.y + sin * along + cos * across])
    assert curvature_to(here, aim) == pytest.approx(curvature, abs=1e-6)


def test_what_lies_behind_is_turned_to_as_sharply_as_it_goes() -> None:
    here = Pose(0.0, 0.0, 0.0, 1.0)
    assert curvature_to(here, np.array([-1.0, 0.1])) == math.inf
    assert curvature_to(here, np.array([-1.0, -0.1])) == -math.inf


def test_a_robot_turns_both_ways_unless_its_skew_has_no_room() -> None:
    curvatures = [turn.curvature for turn in turns(DKITTY)]
    assert curvatures == sorted(curvatures)
    assert (curvatures[0], curvatures[-1]) == (-3.0, 3.0)
    skew = DKITTY.gait.parameters["locus_skew"].model_copy(update={"lower": 0.0})
    gait = DKITTY.gait.model_copy(update={"parameters": {**DKITTY.gait.parameters, "locus_skew": skew}})
    fixed = DKITTY.model_copy(update={"gait": gait})
    with pytest.raises(RobotpsError, match="no gait that turns"):
        WalksBack(Asked(), Still(fixed), Seen(Pose(0, 0, 0, 1)))  # type: ignore[arg-type]


class Asked:
    """A person who notes what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.told: list[str] = []
        self.carries: Any = lambda: None

    def ask(self, what: str, message: str, **details: Any) -> dict[str, Any]:
        self.asked.append(what)
        self.carries()
        return {"done": True}

    def presses(self, since: float) -> list[float]:
        return [since]

    def tell(self, message: str) -> None:
        self.told.append(message)


class Seen:
    """A stream of one pose after the other; the last one stays."""

    def __init__(self, *poses: Pose) -> None:
        self.poses = list(poses)

    def pose(self) -> Pose:
        return self.poses.pop(0) if len(self.poses) > 1 else self.poses[0]


class Still:
    """A robot that does not move."""

    def __init__(self, description: Any) -> None:
        self.description = description

    def stand(self, joints: Any) -> None: ...

    def play(self, motion: Any, seconds: float) -> Any:
        return iter(())


def test_a_person_is_asked_first_and_where_the_robot_fails() -> None:
    home, away, fallen = Pose(0, 0, 0, 1.0), Pose(0.8, 0, 0, 1.0), Pose(0.8, 0, 0, 0.1)
    person, stream = Asked(), Seen(home)
    person.carries = lambda: setattr(stream, "poses", [home])
    back = WalksBack(person, Still(DKITTY), stream)  # type: ignore[arg-type]
    back.ask("place_at_start", "put it there")
    back.ask("place_at_start", "put it there")
    assert person.asked == ["place_at_start"], "it is there already"
    stream.poses = [away, fallen]
    back.ask("place_at_start", "put it there")
    assert "fell" in person.told[0]
    stream.poses = [replace(away, t=float(n)) for n in range(1000)]
    back.ask("place_at_start", "put it there")
    assert "does it slip" in person.told[1]
    stream.poses = [away]
    back.ask("place_at_start", "put it there")
    assert "no longer tracked" in person.told[2]
    assert len(stream.poses) == 1
    assert person.asked == ["place_at_start"] * 4
    back.ask("confirm", "?")
    assert (person.asked[-1], back.presses(1.0)) == ("confirm", [1.0])


@pytest.mark.slow
def test_a_robot_comes_back_from_its_trial_by_itself() -> None:
    with VirtualRobot(DKITTY, realtime=False) as virtual:
        helper, asked = Assistant(virtual.assistant), Asked()

        class Once(Asked):
            def ask(self, what: str, message: str, **details: Any) -> dict[str, Any]:
                asked.ask(what, message)
                return dict(helper.ask(what, message, **details))  # type: ignore[arg-type]

        stream = make_odometer(f"stream:{virtual.position_stream}", helper)
        robot = SerialRobot(DKITTY, virtual.port, pace="device")
        with Session(robot, WalksBack(Once(), robot, stream)) as session:  # type: ignore[arg-type]
            for _ in range(2):
                with session() as ready:
                    x, y, _z = virtual.plant.body.pose.position
                    assert arrived(Pose(x, y, virtual.plant.body.yaw, 1.0), Pose(0, 0, 0, 1.0))
                    trial, _ = run_trial(ready, initial_gait(DKITTY), TrialSettings(seconds=2.0), stream)
                    assert trial.ending == "finished", trial.reason
        assert asked.asked == ["place_at_start"]


def test_walking_before_a_start_is_known_is_refused() -> None:
    with pytest.raises(ValueError, match="nobody has put"):
        WalksBack(Asked(), Still(DKITTY), Seen(Pose(0, 0, 0, 1))).walk()  # type: ignore[arg-type]
