"""Physics behind the bus: what a robot must do, and that every key of a reality acts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardware.virtual.body import Body
from hardware.virtual.masses import link_masses
from hardware.virtual.plant import Plant
from hardware.virtual.reality import Reality, load_reality
from robotps.description import RobotDescription, bundled_robots, load_description
from robotps.errors import RobotpsError
from robotps.legs import LEGS


def rest(description: RobotDescription) -> list[float]:
    return [angle for leg in LEGS for angle in description.legs[leg].rest]


def stand(plant: Plant, seconds: float = 0.7, speed: float = 3.0) -> Plant:
    """On its feet at the start, holding the rest pose."""
    servos = plant.servos
    servos.kp[:] = plant.gain
    servos.speed[:] = speed
    servos.changed()
    plant.put_on_stand()
    for servo, angle in enumerate(rest(plant.description)):
        servos.switch(servo, True, plant.shaft(servo))
        servos.aim(servo, angle)
    plant.advance(1.2)
    plant.put_at_start()
    plant.advance(seconds)
    return plant


def trot(plant: Plant, seconds: float) -> None:
    description = plant.description
    plant.servos.speed[:] = 1e9
    plant.servos.changed()
    swing = {"front_left": 1, "rear_right": 1, "front_right": -1, "rear_left": -1}
    for _ in range(round(seconds / plant.period)):
        phase = 2 * math.pi * plant.time / 0.5
        angles = []
        for leg in LEGS:
            offset = [0.0] * len(description.legs[leg].joints)
            lift = max(0.0, swing[leg] * math.sin(phase))
            offset[-2] = -0.15 * swing[leg] * math.cos(phase) + 0.2 * lift
            offset[-1] = -0.4 * lift
            angles += [a + b for a, b in zip(description.legs[leg].rest, offset, strict=True)]
        for servo, angle in enumerate(angles):
            plant.servos.aim(servo, angle)
        plant.advance_period()


def tilt(plant: Plant) -> float:
    """Angle between the trunk's z axis and the floor's, rad."""
    x, y, _, _ = plant.body.pose.quaternion
    return math.acos(1 - 2 * (x * x + y * y))


@pytest.mark.parametrize("robot", bundled_robots())
def test_a_robot_stands_on_its_legs_under_torque_and_drops_without(robot: str) -> None:
    plant = stand(Plant(load_description(robot)))
    height = plant.body.pose.position[2]
    lying = Plant(load_description(robot)).body.pose.position[2]
    assert tilt(plant) < 0.1
    assert np.abs(plant.body.speed).max() < 0.05
    for servo in range(plant.description.n_joints):
        plant.servos.switch(servo, False, 0.0)
    plant.advance(1.5)
    assert plant.body.pose.position[2] < height - 0.2 * (height - lying) - 0.005


@pytest.mark.parametrize("robot", bundled_robots())
def test_the_mass_is_that_of_the_description(robot: str) -> None:
    description = load_description(robot)
    assert Plant(description).body.mass == pytest.approx(description.mass, rel=1e-6)


def test_capsules_have_the_inertia_that_the_engine_computes() -> None:
    mujoco: Any = pytest.importorskip("mujoco")
    description = load_description("dkitty")
    mass = link_masses(description)["front_left_thigh"]
    end = description.legs["front_left"].joints[2].origin
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><worldbody><body><freejoint/><geom type="capsule" fromto="0 0 0 {end[0]} {end[1]} {end[2]}" '
        f'size="0.018" mass="0.118"/></body></worldbody></mujoco>'
    )
    assert sorted(mass.inertia[:3]) == pytest.approx(sorted(model.body_inertia[1]), rel=1e-6)
    assert mass.com == pytest.approx(tuple(np.array(end) / 2))


def test_hanging_on_the_stand_the_legs_move_freely_and_the_trunk_does_not() -> None:
    plant = Plant(load_description("dkitty"))
    plant.put_on_stand()
    before = plant.body.pose
    assert before.position[2] > 0.4
    plant.servos.kp[:] = plant.gain
    plant.servos.changed()
    plant.servos.switch(1, True, plant.shaft(1))
    plant.servos.aim(1, 0.5)
    plant.advance(1.0)
    assert plant.body.pose.position == pytest.approx(before.position, abs=0.002)
    assert plant.body.angle[1] == pytest.approx(0.5, abs=0.05)
    limp = plant.body.angle[5]
    plant.advance(2.0)
    assert abs(plant.body.angle[5] - limp) < 0.2


def test_an_unloaded_motor_reaches_its_described_speed_and_a_blocked_one_its_torque() -> None:
    plant = Plant(load_description("dkitty"))
    motors, servo = plant.motors, plant.description.servo
    full = np.ones(12)
    assert motors.torque(full, np.zeros(12), full) == pytest.approx(servo.stall_torque)
    assert motors.torque(full, np.full(12, servo.no_load_speed), full) == pytest.approx(0.0, abs=1e-9)
    assert motors.torque(full, np.zeros(12), np.zeros(12)) == pytest.approx(0.0)


def test_time_passes_in_whole_ticks_and_none_is_lost() -> None:
    plant = Plant(load_description("ers210"))
    for _ in range(1000):
        plant.advance(0.00037)
    assert plant.time == pytest.approx(0.37, abs=0.0011)
    assert plant.ticks_a_period * plant.tick == pytest.approx(0.008)


def test_the_same_seed_gives_the_same_motion_bit_for_bit() -> None:
    reality = Reality.model_validate(
        {"sensor": {"position_noise_rad": 0.002}, "floor": {"roughness_m": 0.004}, "start": {"yaw_noise_rad": 0.1}}
    )
    ends = []
    for seed in (1, 1, 2):
        plant = stand(Plant(load_description("dkitty"), reality, seed))
        trot(plant, 0.5)
        ends.append(plant.body.data.qpos.tobytes())
    assert ends[0] == ends[1] != ends[2]


def test_a_stalling_motor_heats_up_and_a_resting_one_cools_down() -> None:
    plant = Plant(load_description("dkitty"))
    motors = plant.motors
    duty = np.zeros(12)
    duty[0] = 1.0
    for _ in range(60):
        motors.torque(duty, np.zeros(12), np.ones(12))
        motors.pass_time(1.0)
    assert 40 < motors.temperature[0] < 80
    assert motors.temperature[1] == pytest.approx(25.0)
    hot = motors.temperature[0]
    motors.pass_time(60.0)
    assert 25 < motors.temperature[0] < hot


def outcome(keys: dict[str, Any]) -> dict[str, Any]:
    """What can be observed of a robot of this reality."""
    plant = stand(Plant(load_description("dkitty"), Reality.model_validate(keys)), seconds=0.3)
    standing = {
        "shank current": abs(float(plant.motors.current[2])),
        "height": float(plant.body.pose.position[2]),
        "forward": float(plant.body.pose.position[0]),
        "yaw": float(plant.body.pose.quaternion[2]),
        "joint": float(plant.body.angle[1]),
        "shaft": float(plant.position[1]),
        "volts": plant.motors.voltage,
    }
    trot(plant, 0.3)
    return {**standing, "mass": plant.body.mass, "after": plant.body.data.qpos.tobytes()}


@pytest.fixture(scope="module")
def nominal() -> dict[str, Any]:
    return outcome({})


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("body", "mass_scale", 1.2),
        ("body", "inertia_scale", 1.5),
        ("body", "com_offset_m", [0.02, 0.0, 0.0]),
        ("floor", "friction", 0.3),
        ("floor", "slope_deg", 4.0),
        ("floor", "roughness_m", 0.006),
        ("servo", "strength_scale", 0.7),
        ("servo", "speed_scale", 0.7),
        ("servo", "gain_scale", 0.7),
        ("servo", "coulomb_friction", 0.15),
        ("servo", "viscous_friction", 0.1),
        ("servo", "armature", 0.012),
        ("servo", "backlash_rad", 0.03),
        ("servo", "backlash_rad", 0.0),
        ("servo", "latency_s", 0.03),
        ("joints", "front_left_thigh", {"zero_offset_rad": 0.05}),
        ("joints", "front_left_thigh", {"strength_scale": 0.6}),
        ("battery", "volts", 10.5),
        ("battery", "resistance_ohm", 0.5),
        ("battery", "capacity_ah", 0.0005),
        ("sensor", "position_noise_rad", 0.005),
        ("start", "yaw_noise_rad", 0.2),
    ],
)
def test_every_key_of_a_reality_acts(nominal: dict[str, Any], section: str, key: str, value: Any) -> None:
    changed = outcome({section: {key: value}})
    assert changed["after"] != nominal["after"]


def test_the_keys_act_in_the_sense_that_they_say(nominal: dict[str, Any]) -> None:
    heavy = outcome({"body": {"mass_scale": 1.2}})
    assert heavy["mass"] == pytest.approx(1.2 * nominal["mass"])
    assert heavy["shank current"] > nominal["shank current"]
    offset = outcome({"joints": {"front_left_thigh": {"zero_offset_rad": 0.05}}})
    assert offset["joint"] - offset["shaft"] == pytest.approx(0.05)
    assert offset["joint"] - nominal["joint"] == pytest.approx(0.05, abs=0.02)
    assert outcome({"battery": {"volts": 10.5}})["volts"] == pytest.approx(10.5)
    assert outcome({"battery": {"resistance_ohm": 2.0}})["volts"] < 11.99
    assert abs(outcome({"start": {"yaw_noise_rad": 0.3}})["yaw"]) > 0.01
    assert outcome({"floor": {"friction": 0.02, "slope_deg": 5.0}})["forward"] < nominal["forward"] - 0.02, "downhill"
    assert outcome({"floor": {"roughness_m": 0.01}})["height"] > nominal["height"]


def test_the_seed_of_a_reality_changes_what_is_random() -> None:
    yaw = [
        stand(
            Plant(load_description("dkitty"), Reality.model_validate({"start": {"yaw_noise_rad": 0.1, "seed": seed}}))
        ).body.pose.quaternion[2]
        for seed in (0, 1)
    ]
    assert yaw[0] != yaw[1]


def test_a_file_with_an_unknown_key_or_joint_names_the_nearest(tmp_path: Path) -> None:
    description = load_description("dkitty")
    path = tmp_path / "reality.toml"
    path.write_text("[servo]\nstrength_scal = 1.0\n")
    with pytest.raises(RobotpsError, match="'strength_scale'"):
        load_reality(path, description)
    path.write_text("[joints.front_left_knee]\nzero_offset_rad = 0.1\n")
    with pytest.raises(RobotpsError, match=r"front_left_knee.*nearest: 'front_left_"):
        load_reality(path, description)
    path.write_text("[floor]\nfriction = 0.4\n")
    assert load_reality(path, description).floor.friction == 0.4


def test_a_description_with_a_urdf_has_its_masses(tmp_path: Path) -> None:
    pytest.importorskip("pybullet_data")
    description = a1(tmp_path)
    masses = link_masses(description)
    total = sum(mass.mass for mass in masses.values())
    assert 10 < total < 14
    tick = 0.001
    body = Body(description, Reality(), tick, np.random.SeedSequence(0))
    assert body.mass == pytest.approx(total)
    assert stand(Plant(description)).body.pose.position[2] > 0.2


def a1(folder: Path) -> RobotDescription:
    legs = {"front_right": "FR", "front_left": "FL", "rear_right": "RR", "rear_left": "RL"}
    lines = [
        'name = "a1"',
        'title = "A1"',
        'urdf = "pybullet_data:a1/a1.urdf"',
        "[servo]",
        'model = "A1"',
        "stall_torque = 33.5",
        "no_load_speed = 21.0",
        "gain = 100.0",
        "voltage = 24.0",
        "armature = 0.01",
    ]
    for name, short in legs.items():
        lines += [
            f"[legs.{name}]",
            "rest = [0.0, 0.9, -1.8]",
            f'foot = {{ urdf = "{short}_toe", radius = 0.02 }}',
            f'joints = [{{ name = "abduction", urdf = "{short}_hip_joint" }}, '
            f'{{ name = "thigh", urdf = "{short}_upper_joint" }}, {{ name = "shank", urdf = "{short}_lower_joint" }}]',
        ]
    lines += ["[gait]", "[gait.parameters]"]
    parameters = load_description("dkitty").gait.parameters
    for name, p in parameters.items():
        lines.append(f"{name} = {{ initial = {p.initial}, step = {p.step}, lower = {p.lower}, upper = {p.upper} }}")
    path = folder / "a1.toml"
    path.write_text("\n".join(lines))
    return load_description(path)


@pytest.mark.parametrize("milliseconds", [0, 1, 10])
def test_a_servo_acts_on_a_goal_after_exactly_its_latency(milliseconds: int) -> None:
    plant = Plant(load_description("dkitty"), Reality.model_validate({"servo": {"latency_s": milliseconds / 1000}}))
    plant.servos.kp[:] = plant.gain
    plant.servos.changed()
    plant.servos.switch(0, True, plant.shaft(0))
    plant.servos.aim(0, plant.shaft(0) + 0.1)
    missing = 0.0
    for _ in range(10):
        plant.advance(plant.tick)
        missing += plant.tick * (plant.servos.aimed[0] - plant.servos.goal[0]) / 0.1
    assert missing == pytest.approx(milliseconds / 1000)
    assert plant.servos.goal[0] == plant.servos.aimed[0]


def test_a_foot_that_is_its_links_end_touches_the_floor_once() -> None:
    plant = stand(Plant(load_description("dkitty")))
    assert plant.body.data.ncon == 4


def test_loops_in_the_engine_do_what_the_servos_own_do() -> None:
    """A battery's inner resistance, however small, makes the plant step every servo's loop by itself."""
    ends = []
    for resistance in (0.0, 1e-12):
        plant = stand(
            Plant(load_description("dkitty"), Reality.model_validate({"battery": {"resistance_ohm": resistance}}))
        )
        assert plant.servos.proportional
        trot(plant, 0.3)
        motors, servos = plant.motors, plant.servos
        ends.append([plant.body.data.qpos, motors.current, motors.temperature, servos.duty, servos.setpoint])
    for engine, own in zip(*ends, strict=True):
        assert engine == pytest.approx(own, abs=1e-6)
