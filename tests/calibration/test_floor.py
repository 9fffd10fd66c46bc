"""Joint zeros come from standing feet, body and floor from short shots: here out of the simulator's own motions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.excitation import gaits, sway
from calibration.fit import fit
from calibration.floor_problem import FloorProblem
from calibration.grid import Grid, on_grid
from calibration.shots import shoot, shots_of
from calibration.stance import joint_zeros
from calibration.unknowns import body_unknowns, servo_unknowns, sink_unknown
from robotps.description import RobotDescription, load_description
from robotps.gait import gait_cycle, initial_gait
from robotps.robot import Motion, Telemetry
from sim.robot import SimulatedRobot
from sim.world import World

DKITTY = load_description("dkitty")
QUIET = {"start": {"joint_noise_rad": 0.0, "yaw_noise_rad": 0.0}}


def logged(world: World, motion: Motion, seconds: float, description: RobotDescription = DKITTY) -> Grid:
    """What a tracked physical robot would have logged."""
    with SimulatedRobot(description, world) as robot:
        robot.stand(gait_cycle(description, initial_gait(description)).standing)
        telemetry = Telemetry.of(list(robot.play(motion, seconds)))
    assert telemetry.torque is not None
    constant = description.servo.no_load_speed / description.servo.voltage
    grid = on_grid(replace(telemetry, current=telemetry.torque * constant), description.control_period)
    assert grid is not None
    return grid


ZEROS = {
    "dkitty": {"front_left_thigh": 0.03, "rear_right_shank": -0.03, "rear_left_abduction": 0.02},
    "ers210": {"front_left_rotator": 0.03, "front_right_elevator": 0.03},
}


@pytest.mark.parametrize("name", list(ZEROS))
def test_zeros_are_found_from_legs_that_stand_on_feet_and_on_elbows(name: str) -> None:
    joints, description = ZEROS[name], load_description(name)
    table = {"joints": {name: {"zero_offset_rad": zero} for name, zero in joints.items()}, **QUIET}
    table["servo"] = {"backlash_rad": 0.0}
    grid = logged(World.model_validate(table), sway(description, 5.0), 5.0, description)
    unknowns = [u for u in servo_unknowns(description, World()) if u.name.endswith("zero_offset_rad")]
    found = joint_zeros(description, [grid], [*unknowns, sink_unknown()])
    for unknown, value, deviation in zip(unknowns, found.values, found.deviation, strict=False):
        true = joints.get(unknown.name.split(".")[1], 0.0)
        assert abs(value - true) < max(0.01, 2.5 * deviation), unknown.name
        if true:
            assert abs(value - true) < 0.01, unknown.name


def test_shots_in_the_world_of_the_log_stay_with_it_and_in_another_do_not() -> None:
    world = World.model_validate({"body": {"mass_scale": 1.2, "inertia_scale": 1.2}, **QUIET})
    grid = logged(world, gait_cycle(DKITTY, initial_gait(DKITTY)), 2.0)
    shots = shots_of(grid, 0.5, 6)
    assert len(shots) == 6
    errors = []
    for tried in (world, World.model_validate(QUIET)):
        found = shoot(DKITTY, tried, shots)
        observed = np.stack([shot.quantities["position"] for shot in shots])
        errors.append(float(np.sqrt(np.mean((found["position"] - observed) ** 2))))
        assert found["travel"].shape == (6, len(shots[0].sent), 3)
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.slow
def test_mass_and_friction_are_found_from_shots() -> None:
    world = World.model_validate(
        {"body": {"mass_scale": 1.2, "inertia_scale": 1.2}, "floor": {"friction": 0.3}, **QUIET}
    )
    gait = dict(gaits(DKITTY))["gait 3"]
    shots = shots_of(logged(world, gait_cycle(DKITTY, gait), 3.0), 1.0, 16)
    unknowns = [u for u in body_unknowns(World()) if u.name in ("body.mass_scale", "floor.friction")]
    problem = FloorProblem(DKITTY, shots, unknowns, World.model_validate(QUIET))
    mass, friction = fit(problem, nfev=5, rounds=2).values
    assert mass == pytest.approx(1.2, rel=0.05)
    assert friction == pytest.approx(0.3, rel=0.2)
