"""Getting up and lying down: the feet go straight, no robot topples, whatever gait it gets up for."""

from __future__ import annotations

import numpy as np
import pytest

from hardware.odometer import make_odometer
from hardware.person import Assistant
from hardware.posture import along_feet, gathered, lowered
from hardware.robot import SerialRobot
from hardware.session import Session
from hardware.virtual.robot import VirtualRobot
from robotps.description import LegWiring, RobotDescription, Wiring, load_description
from robotps.gait import Gait, chains, gait_cycle, initial_gait
from robotps.legs import LEGS
from robotps.parameters import FloatArray
from robotps.trial import TrialSettings, run_trial

DKITTY, BITTLE = load_description("dkitty"), load_description("bittle")


def wired_ers210() -> RobotDescription:
    """The robot that has no serial port, as if it had servos."""
    description = load_description("ers210")
    legs = {
        leg: LegWiring(ids=(10 * n + 1, 10 * n + 2, 10 * n + 3), directions=(1, 1, 1), zeros=(2048, 2048, 2048))
        for n, leg in enumerate(LEGS)
    }
    servo = description.servo.model_copy(update={"model": "XL430-W250"})
    wiring = Wiring(protocol="dynamixel", baud=1_000_000, legs=legs)
    return description.model_copy(update={"servo": servo, "wiring": wiring})


ROBOTS = {"dkitty": DKITTY, "bittle": BITTLE, "ers210": wired_ers210()}

FAST: dict[str, list[dict[str, float]]] = {
    "dkitty": [
        {},
        {"front_locus_y": -0.016, "rear_locus_y": -0.035, "front_body_height": 0.282, "rear_body_height": 0.284},
        {"front_locus_y": -0.044, "rear_locus_y": -0.007, "front_body_height": 0.271, "rear_body_height": 0.279},
        {"front_locus_y": -0.03, "rear_locus_y": -0.03, "locus_length": 0.06, "period": 0.3},
        {"front_locus_y": 0.05, "rear_locus_y": 0.0, "locus_length": 0.06, "period": 0.3},
        {"front_locus_y": 0.04, "rear_locus_y": -0.04, "front_body_height": 0.28, "rear_body_height": 0.25},
        {"front_locus_x": 0.06, "rear_locus_x": -0.02, "front_body_height": 0.24, "rear_body_height": 0.285},
    ],
    "bittle": [
        {},
        {"front_locus_y": 0.02, "rear_locus_y": 0.01, "locus_length": 0.03, "period": 0.25},
        {"front_locus_y": -0.015, "rear_locus_y": -0.02, "front_body_height": 0.06, "rear_body_height": 0.08},
    ],
    "ers210": [
        {},
        {"front_locus_y": 0.06, "rear_locus_y": 0.0, "locus_length": 0.06, "period": 0.4},
        {"front_locus_y": 0.0, "rear_locus_y": -0.04, "front_body_height": 0.1, "rear_body_height": 0.1},
    ],
}
"""What is asked of the start, m and s."""


@pytest.mark.parametrize(("name", "asked"), [(name, asked) for name in FAST for asked in FAST[name]])
def test_no_robot_topples_when_it_gets_up_from_the_floor_for_a_fast_gait(name: str, asked: dict[str, float]) -> None:
    description = ROBOTS[name]
    start = initial_gait(description)
    cycle = gait_cycle(description, Gait(start.family, {**start.parameters, **asked}))
    with VirtualRobot(description, realtime=False) as virtual:
        Assistant(virtual.assistant).ask("place_at_start", "")
        upright: list[float] = []
        virtual.plant.listeners.append(lambda: upright.append(float(virtual.plant.body.up[2])))
        with SerialRobot(description, virtual.port, pace="device", tell=lambda message: None) as robot:
            robot.stand(cycle.standing)
            height = float(virtual.plant.body.pose.position[2])
            robot.relax()
    assert min(upright) > 0.85
    assert height == pytest.approx(cycle.body_height, rel=0.1)


def test_a_robot_that_lies_on_its_side_when_the_gait_should_begin_is_at_fault_and_let_go() -> None:
    with VirtualRobot(DKITTY, realtime=False) as virtual:
        person = Assistant(virtual.assistant)
        robot = SerialRobot(DKITTY, virtual.port, pace="device", tell=lambda message: None)
        with Session(robot, person) as session, session() as ready:
            virtual.plant.body.data.qpos[3:7] = (np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0)  # somebody tripped over it
            odometer = make_odometer(f"stream:{virtual.position_stream}", person)
            trial, _ = run_trial(ready, initial_gait(DKITTY), TrialSettings(seconds=0.5, warm_up=0.5), odometer)
            assert not virtual.plant.servos.on.any()
    assert trial.ending == "fault"
    assert "lies on its side" in trial.reason


@pytest.mark.parametrize("name", list(ROBOTS))
def test_feet_are_gathered_under_the_hips_low_and_with_no_joint_at_its_end(name: str) -> None:
    """A robot that is not calibrated would push against its stops."""
    description = ROBOTS[name]
    angles = gathered(description)
    ends = np.array([(joint.lower, joint.upper) for joint in description.joints]).T
    assert min((angles - ends[0]).min(), (ends[1] - angles).min()) > 0.05
    standing = gait_cycle(description, initial_gait(description)).standing
    deeper = 0.02 if name == "ers210" else 0.01  # its forelegs cannot be folded so far that they are under the hips
    for chain, foot, stood in zip(
        chains(description), feet(description, angles), feet(description, standing), strict=True
    ):
        assert foot[0] == pytest.approx(chain.hip[0], abs=1e-3)
        assert foot[2] > stood[2] - deeper


@pytest.mark.parametrize("name", list(ROBOTS))
def test_feet_go_straight_from_one_stance_to_another_and_no_joint_jumps(name: str) -> None:
    description = ROBOTS[name]
    start = initial_gait(description)
    end = gait_cycle(description, Gait(start.family, {**start.parameters, **FAST[name][1]})).standing
    way = along_feet(description, gathered(description), end)
    np.testing.assert_allclose(way[0], gathered(description), atol=1e-9)
    np.testing.assert_allclose(way[-1], end, atol=1e-9)
    assert np.abs(np.diff(way, axis=0)).max() < 0.3
    track = np.array([feet(description, joints) for joints in way])
    share = np.linspace(0.0, 1.0, len(track))[:, None, None]
    np.testing.assert_allclose(track, track[0] + share * (track[-1] - track[0]), atol=1e-3)


@pytest.mark.parametrize("height", [0.27, 0.2, 0.17])
def test_lying_down_folds_the_legs_without_turning_them_over(height: float) -> None:
    start = initial_gait(DKITTY)
    spread = {"front_locus_y": 0.13, "rear_locus_y": -0.13} if height < 0.25 else {}
    gait = Gait(start.family, {**start.parameters, "front_body_height": height, "rear_body_height": height, **spread})
    standing = gait_cycle(DKITTY, gait).standing
    low = lowered(DKITTY, standing)
    now, then = feet(DKITTY, standing), feet(DKITTY, low)
    assert (then[:, 2] >= now[:, 2] - 1e-6).all()
    np.testing.assert_allclose(then[:, :2], now[:, :2], atol=1e-3)
    assert np.abs(low - standing)[::3].max() < 0.3  # of abduction: a leg that is turned over goes far


def feet(description: RobotDescription, joints: FloatArray) -> FloatArray:
    """Foot centres, (4, 3), m."""
    legs = joints.reshape(4, -1)
    return np.array([chain.forward(leg[None, :])[0] for chain, leg in zip(chains(description), legs, strict=True)])
