"""Servos are found from a simulated robot on a stand, by a model that is not the simulator's engine."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.excitation import chirp, plan, steps, sway
from calibration.fit import fit
from calibration.grid import Grid, on_grid
from calibration.stand_problem import StandProblem
from calibration.unknowns import servo_unknowns
from robotps.description import RobotDescription, load_description
from robotps.robot import Telemetry
from robotps.trial import run_trial
from sim.robot import SimulatedRobot
from sim.world import World

DKITTY = load_description("dkitty")
TRUE = World.model_validate(
    {
        "servo": {
            "strength_scale": 0.9,
            "speed_scale": 1.1,
            "gain_scale": 1.2,
            "coulomb_friction": 0.09,
            "backlash_rad": 0.0,
            "latency_s": 0.017,
        },
        "joints": {"rear_left_thigh": {"strength_scale": 0.9}},
        "start": {"joint_noise_rad": 0.0},
    }
)


def logged(description: RobotDescription, seconds: float) -> Grid:
    """A chirp of the simulated robot, with the currents that such motors take."""
    motion = chirp(description, seconds)
    with SimulatedRobot(description, TRUE, on_stand=True) as robot:
        robot.stand(motion(0.0))
        telemetry = Telemetry.of(list(robot.play(motion, seconds)))
    assert telemetry.torque is not None
    constant = DKITTY.servo.no_load_speed * TRUE.servo.speed_scale / DKITTY.servo.voltage
    seen = Telemetry(
        telemetry.time,
        telemetry.sent,
        position=telemetry.position,
        velocity=telemetry.velocity,
        current=telemetry.torque * constant,
        voltage=telemetry.voltage,
    )
    grid = on_grid(seen, DKITTY.control_period)
    assert grid is not None
    return grid


@pytest.mark.slow
@pytest.mark.parametrize(("derivative_time", "of_gain"), [(0.0, 0.03), (0.003, 0.05)])
def test_servos_are_found_from_a_chirp_on_a_stand(derivative_time: float, of_gain: float) -> None:
    servo = DKITTY.servo.model_copy(update={"derivative_time": derivative_time})
    robot = DKITTY.model_copy(update={"servo": servo})
    unknowns = [u for u in servo_unknowns(robot, World()) if "zero" not in u.name and "backlash" not in u.name]
    found = fit(StandProblem(robot, [logged(robot, 6.0)], unknowns, 12))
    by_name = {u.name: (v, d) for u, v, d in zip(unknowns, found.values, found.deviation, strict=True)}
    common = by_name["servo.strength_scale"][0]
    weak = by_name["joints.rear_left_thigh.strength_scale"][0] * common
    assert weak == pytest.approx(0.81, rel=0.03)
    assert by_name["joints.front_left_thigh.strength_scale"][0] * common == pytest.approx(0.9, rel=0.03)
    assert by_name["servo.speed_scale"][0] == pytest.approx(1.1, rel=0.03)
    assert by_name["servo.gain_scale"][0] == pytest.approx(1.2, rel=of_gain)
    assert by_name["servo.latency_s"][0] == pytest.approx(0.017, abs=0.0015)
    assert by_name["servo.coulomb_friction"][0] == pytest.approx(0.09, abs=0.02)


@pytest.mark.parametrize("name", ["dkitty", "ers210", "bittle"])
def test_what_is_planned_stays_within_joint_limits_and_speeds(name: str) -> None:
    description = load_description(name)
    lower = np.array([joint.lower for joint in description.joints])
    upper = np.array([joint.upper for joint in description.joints])
    period = description.control_period
    for motion, seconds in (
        (chirp(description, 6.0), 6.0),
        (steps(description, 4.0, 1), 4.0),
        (sway(description, 6.0), 6.0),
    ):
        targets = np.array([motion(t) for t in np.arange(0.0, seconds, period)])
        assert (targets >= lower - 1e-9).all()
        assert (targets <= upper + 1e-9).all()
    sweep = chirp(description, 6.0)
    swept = np.array([sweep(t) for t in np.arange(0.0, 6.0, period)])
    assert np.abs(np.diff(swept, axis=0)).max() < description.servo.no_load_speed * period
    planned = [one.on_stand for one in plan(description)]
    assert planned == sorted(planned, reverse=True)


def test_swaying_leaves_the_feet_where_they_are() -> None:
    motion = sway(DKITTY, 6.0)
    planned = next(one for one in plan(DKITTY) if one.name == "sway")
    with SimulatedRobot(DKITTY, World.model_validate({"start": {"joint_noise_rad": 0.0}})) as robot:
        trial, _ = run_trial(robot, planned.gait, planned.settings, motion=motion)
    assert trial.ending == "finished"
    assert trial.slip is not None
    assert trial.slip < 0.02
