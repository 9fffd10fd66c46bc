"""Every field of a World changes the trial when it alone is changed, and a world's file says what is wrong with it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.gait import initial_gait
from robotps.robot import Telemetry
from robotps.trial import TrialSettings, digest, run_trial
from sim.robot import SimulatedRobot
from sim.world import World, load_world

DKITTY = load_description("dkitty")

ALONE: list[tuple[str, dict[str, Any]]] = [
    ("body.mass_scale", {"body": {"mass_scale": 1.1}}),
    ("body.inertia_scale", {"body": {"inertia_scale": 1.2}}),
    ("body.com_offset_m", {"body": {"com_offset_m": [0.005, 0.0, 0.0]}}),
    ("floor.friction", {"floor": {"friction": 0.5}}),
    ("floor.slope_deg", {"floor": {"slope_deg": 2.0}}),
    ("floor.slope_heading_deg", {"floor": {"slope_deg": 2.0, "slope_heading_deg": 90.0}}),
    ("floor.roughness_m", {"floor": {"roughness_m": 0.005}}),
    ("servo.strength_scale", {"servo": {"strength_scale": 0.9}}),
    ("servo.speed_scale", {"servo": {"speed_scale": 0.9}}),
    ("servo.gain_scale", {"servo": {"gain_scale": 0.9}}),
    ("servo.coulomb_friction", {"servo": {"coulomb_friction": 0.1}}),
    ("servo.viscous_friction", {"servo": {"viscous_friction": 0.05}}),
    ("servo.armature", {"servo": {"armature": 0.006}}),
    ("servo.backlash_rad", {"servo": {"backlash_rad": 0.02}}),
    ("servo.latency_s", {"servo": {"latency_s": 0.011}}),
    ("joints.zero_offset_rad", {"joints": {"rear_left_shank": {"zero_offset_rad": 0.02}}}),
    ("joints.strength_scale", {"joints": {"rear_left_shank": {"strength_scale": 0.8}}}),
    ("battery.volts", {"battery": {"volts": 11.0}}),
    ("battery.resistance_ohm", {"battery": {"resistance_ohm": 0.2}}),
    ("sensor.position_noise_rad", {"sensor": {"position_noise_rad": 0.001}}),
    ("sensor.velocity_noise_rad_s", {"sensor": {"velocity_noise_rad_s": 0.01}}),
    ("sensor.gyro_noise_rad_s", {"sensor": {"gyro_noise_rad_s": 0.01}}),
    ("sensor.accelerometer_noise_m_s2", {"sensor": {"accelerometer_noise_m_s2": 0.1}}),
    ("start.joint_noise_rad", {"start": {"joint_noise_rad": 0.02}}),
    ("start.yaw_noise_rad", {"start": {"yaw_noise_rad": 0.05}}),
    ("push.force_n", {"push": {"force_n": 5.0}}),
    ("push.duration_s", {"push": {"force_n": 5.0, "duration_s": 0.1}}),
    ("push.every_s", {"push": {"force_n": 5.0, "every_s": 0.4}}),
]
BESIDE = {  # what a field that acts through another one is compared with
    "floor.slope_heading_deg": {"floor": {"slope_deg": 2.0}},
    "push.duration_s": {"push": {"force_n": 5.0}},
    "push.every_s": {"push": {"force_n": 5.0}},
}


def telemetry(world: dict[str, Any]) -> Telemetry:
    return of_world(World.model_validate(world).model_dump_json())


@cache
def of_world(world: str) -> Telemetry:
    with SimulatedRobot(DKITTY, World.model_validate_json(world), seed=1) as robot:
        _, telemetry = run_trial(robot, initial_gait(DKITTY), TrialSettings(seconds=0.8, warm_up=0.2))
    assert telemetry is not None
    return telemetry


def test_every_field_is_in_the_list() -> None:
    fields = set()
    for section, field in World.model_fields.items():
        model = World.model_fields["joints"].annotation.__args__[1] if section == "joints" else field.annotation
        fields |= {f"{section}.{name}" for name in model.model_fields}
    assert fields == {name for name, _ in ALONE}


@pytest.mark.parametrize(("name", "world"), ALONE, ids=[name for name, _ in ALONE])
def test_a_field_alone_changes_the_trial(name: str, world: dict[str, Any]) -> None:
    assert digest(telemetry(world)) != digest(telemetry(BESIDE.get(name, {})))


def test_noise_of_the_sensors_leaves_the_motion_as_it_was() -> None:
    quiet, noisy = telemetry({}), telemetry({"sensor": {"position_noise_rad": 0.1, "gyro_noise_rad_s": 1.0}})
    assert (quiet.base_position == noisy.base_position).all()
    assert (quiet.position != noisy.position).any()


def test_each_random_stream_is_its_own() -> None:
    """Sensor noise and pushes do not reshuffle the start."""
    plain, other = telemetry({}), telemetry({"sensor": {"position_noise_rad": 0.1}, "push": {"force_n": 1e-9}})
    assert plain.base_position[0] == pytest.approx(other.base_position[0], abs=1e-9)


def test_a_world_file_holds_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "world.toml"
    path.write_text("[floor]\nfriction = 0.4\n[joints.front_left_shank]\nzero_offset_rad = 0.03\n")
    world = load_world(path)
    assert world.floor.friction == 0.4
    assert world.joints["front_left_shank"].zero_offset_rad == 0.03
    assert world.body == World().body
    assert load_world("nominal") == World()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[floor]\nfrictoin = 0.4\n", "friction"),
        ("[floor]\nfriction = -1\n", "floor.friction"),
        ("[servo]\nlatency_s = nan\n", "servo.latency_s"),
        ("[body]\ncom_offset_m = [0, 0]\n", "body.com_offset_m"),
    ],
)
def test_a_bad_world_file_names_file_and_key(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "world.toml"
    path.write_text(text)
    with pytest.raises(RobotpsError) as error:
        load_world(path)
    assert str(path) in str(error.value)
    assert told in str(error.value)


def test_an_unknown_joint_is_named_beside_the_known_ones() -> None:
    world = World.model_validate({"joints": {"front_left_shnk": {"zero_offset_rad": 0.1}}})
    with pytest.raises(RobotpsError, match=r"front_left_shnk.*did you mean 'front_left_shank'.*rear_right_thigh"):
        SimulatedRobot(DKITTY, world)
