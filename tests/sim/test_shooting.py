"""A shot from a logged moment goes where the logged robot went; a robot on the stand only swings its legs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from robotps.description import load_description
from robotps.gait import gait_cycle, initial_gait
from robotps.robot import Observation, Telemetry
from sim.robot import SimulatedRobot
from sim.shooting import Moment, ShootingRobot
from sim.world import World

ODD = World.model_validate(
    {
        "body": {"mass_scale": 1.1, "com_offset_m": (0.02, 0.0, 0.0)},
        "servo": {"latency_s": 0.017},
        "joints": {"front_left_thigh": {"zero_offset_rad": 0.05}, "front_left_elevator": {"zero_offset_rad": 0.05}},
    }
)


def odd_world(name: str) -> World:
    joint = "front_left_thigh" if name == "dkitty" else "front_left_elevator"
    return ODD.model_copy(update={"joints": {joint: ODD.joints[joint]}})


def moment(log: Telemetry, index: int) -> Moment:
    """The state at the end of tick `index`."""
    assert log.position is not None
    assert log.velocity is not None
    assert log.base_position is not None
    assert log.orientation is not None
    assert log.base_velocity is not None
    assert log.angular_velocity is not None
    return Moment(
        log.sent[index - 4 : index + 1],
        log.position[index],
        log.velocity[index],
        log.base_position[index],
        log.orientation[index],
        log.base_velocity[index],
        log.angular_velocity[index],
    )


def walk(name: str, seconds: float, *, on_stand: bool = False) -> Telemetry:
    description = load_description(name)
    cycle = gait_cycle(description, initial_gait(description))
    with SimulatedRobot(description, odd_world(name), on_stand=on_stand) as robot:
        robot.stand(cycle.standing)
        return Telemetry.of(list(robot.play(cycle, seconds)))


def shots(name: str, log: Telemetry, starts: range, length: int, *, on_stand: bool = False) -> list[list[Observation]]:
    description = load_description(name)
    with ShootingRobot(description, odd_world(name), on_stand=on_stand) as robot:
        robot.stand(gait_cycle(description, initial_gait(description)).standing)
        return [robot.shoot(moment(log, i), log.sent[i + 1 : i + 1 + length]) for i in starts]


@pytest.mark.parametrize("on_stand", [False, True])
@pytest.mark.parametrize("name", ["ers210", "dkitty"])
def test_a_shot_in_the_same_world_follows_the_log(name: str, on_stand: bool) -> None:
    log = walk(name, 1.5, on_stand=on_stand)
    assert log.position is not None
    assert log.base_position is not None
    starts, length = range(20, 130, 15), 10
    joint_errors, base_errors, travelled = [], [], []
    for i, shot in zip(starts, shots(name, log, starts, length, on_stand=on_stand), strict=True):
        joint_errors.append(np.abs(np.array([o.position for o in shot]) - log.position[i + 1 : i + 1 + length]))
        base_errors.append(np.linalg.norm(np.array(shot[-1].base_position) - log.base_position[i + length]))
        travelled.append(np.linalg.norm(log.base_position[i + length] - log.base_position[i]))
    assert np.median([errors.max() for errors in joint_errors]) < 0.004
    if on_stand:
        assert max(travelled) == 0.0
    else:
        assert np.median(base_errors) < 0.1 * np.median(travelled)


def test_the_same_shot_twice_is_the_same() -> None:
    log = walk("dkitty", 0.6)
    once = shots("dkitty", log, range(20, 50, 10), 8)
    again = shots("dkitty", log, range(20, 50, 10), 8)
    for one, other in zip(once, again, strict=True):
        assert [observation.position for observation in one] == [observation.position for observation in other]


def ends(*voltages: float | None) -> list[Any]:
    """Where the joints are after the same shot at each of these voltages, one after the other on one robot."""
    log = walk("dkitty", 0.5, on_stand=True)
    description = load_description("dkitty")
    with ShootingRobot(description, on_stand=True) as robot:
        robot.stand(gait_cycle(description, initial_gait(description)).standing)
        starts = [Moment(**{**vars(moment(log, 20)), "voltage": voltage}) for voltage in voltages]
        return [robot.shoot(start, log.sent[20:21] + 0.8)[-1].position for start in starts]


def test_a_lower_voltage_makes_a_shot_lag() -> None:
    full, low = ends(12.0, 6.0)
    assert np.abs(np.array(full) - np.array(low)).max() > 0.003


def test_a_measured_voltage_is_for_its_own_shot() -> None:
    before, low, after = ends(None, 6.0, None)
    assert before == after != low
