"""Forward and inverse kinematics of every robot at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, least_squares

from robotps.description import RobotDescription, bundled_robots, load_description
from robotps.kinematics import LegKinematics
from robotps.legs import LEGS, LegName
from robotps.parameters import FloatArray

A1 = Path(__file__).parents[2] / "docs" / "a1.toml"
ROBOTS = [*bundled_robots(), "a1"]
ALL_LEGS = [(robot, leg) for robot in ROBOTS for leg in LEGS]


def _description(robot: str) -> RobotDescription:
    return load_description(A1 if robot == "a1" else robot)


def _chain(robot: str, leg: LegName) -> LegKinematics:
    return LegKinematics(_description(robot).legs[leg])


CHAINS = {(robot, leg): _chain(robot, leg) for robot, leg in ALL_LEGS}


def _check_reached(chain: LegKinematics, points: FloatArray) -> None:
    angles, distance = chain.inverse(points)
    np.testing.assert_array_less(np.linalg.norm(chain.forward(angles) - points, axis=1), 1e-6)
    np.testing.assert_array_less(distance, 1e-6)
    assert (angles >= chain.lower).all()
    assert (angles <= chain.upper).all()


@pytest.mark.parametrize(("robot", "leg"), ALL_LEGS)
@settings(max_examples=25, deadline=None)
@given(shares=st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_a_foot_position_within_the_limits_is_reached(robot: str, leg: LegName, shares: list[float]) -> None:
    chain = CHAINS[robot, leg]
    pose = chain.lower + np.array(shares[: len(chain.lower)]) * (chain.upper - chain.lower)
    _check_reached(chain, chain.forward(pose[None, :]))


@pytest.mark.parametrize(("robot", "leg"), ALL_LEGS)
def test_thousands_of_foot_positions_are_reached_at_once(robot: str, leg: LegName) -> None:
    chain = CHAINS[robot, leg]
    poses = np.random.default_rng(4).uniform(chain.lower, chain.upper, size=(2000, len(chain.lower)))
    _check_reached(chain, chain.forward(poses))


@pytest.mark.parametrize("robot", ROBOTS)
def test_a_point_out_of_reach_gets_the_nearest_pose_within_the_limits(robot: str) -> None:
    chain = CHAINS[robot, "rear_left"]
    generator = np.random.default_rng(7)
    reach = np.linalg.norm(chain.forward(chain.rest[None, :])[0] - chain.hip)
    directions = generator.normal(size=(12, 3))
    points = chain.hip + 2.5 * reach * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    angles, distance = chain.inverse(points)
    np.testing.assert_allclose(distance, np.linalg.norm(chain.forward(angles) - points, axis=1), atol=1e-12)
    assert (angles >= chain.lower).all()
    assert (angles <= chain.upper).all()
    for point, found in zip(points, distance, strict=True):
        fits = [
            least_squares(
                lambda q, point=point: chain.forward(q[None, :])[0] - point,
                start,
                bounds=(chain.lower, chain.upper),
                xtol=1e-12,
            )
            for start in generator.uniform(chain.lower, chain.upper, size=(8, len(chain.lower)))
        ]
        best = min(np.sqrt(2 * fit.cost) for fit in fits)
        assert found > 1e-3
        assert found <= best + 1e-6


def test_the_knee_stays_on_the_side_of_the_starting_pose() -> None:
    chain = CHAINS["dkitty", "front_left"]
    foot = chain.forward(np.array([[0.0, 0.7, -1.2]]))
    back, _ = chain.inverse(foot, near=np.array([0.0, 0.5, -1.0]))
    ahead, _ = chain.inverse(foot, near=np.array([0.0, -0.5, 1.0]))
    np.testing.assert_allclose(back, [[0.0, 0.7, -1.2]], atol=1e-6)
    assert ahead[0, 2] > 1.0
    np.testing.assert_allclose(chain.forward(ahead), foot, atol=1e-6)


@pytest.mark.parametrize("robot", bundled_robots())
@pytest.mark.parametrize("end", ["front", "rear"])
def test_equal_angles_move_left_and_right_feet_as_mirror_images(robot: str, end: str) -> None:
    left, right = (_chain(robot, f"{end}_{side}") for side in ("left", "right"))  # type: ignore[arg-type]
    poses = np.random.default_rng(1).uniform(left.lower, left.upper, size=(200, len(left.lower)))
    np.testing.assert_allclose(right.forward(poses), left.forward(poses) * [1.0, -1.0, 1.0], atol=1e-12)


def test_positive_abduction_moves_either_foot_outward() -> None:
    for leg in LEGS:
        for robot, pose in (("dkitty", [0.3, 0.0, 0.0]), ("ers210", [0.0, 0.3, 0.0])):
            chain = CHAINS[robot, leg]
            still, moved = (abs(chain.forward(np.array([angles]))[0, 1]) for angles in ([0.0, 0.0, 0.0], pose))
            assert moved > still + 0.01


@pytest.mark.parametrize(
    ("robot", "leg", "foot"),
    [
        ("ers210", "front_left", (0.0595 + 0.0128 - 0.01171, 0.0592, -0.064 - 0.05577)),
        ("ers210", "rear_right", (-0.0595 - 0.0128 + 0.02218, -0.0592, -0.064 - 0.06064)),
        ("dkitty", "front_right", (0.122, -0.09, -0.0965 - 0.0945 - 0.1007)),
        ("bittle", "rear_left", (-0.052 + 0.05, 0.045, -0.049)),
    ],
)
def test_at_zero_angles_the_foot_is_where_the_published_dimensions_put_it(
    robot: str, leg: LegName, foot: tuple[float, float, float]
) -> None:
    chain = CHAINS[robot, leg]
    np.testing.assert_allclose(chain.forward(np.zeros((1, len(chain.lower))))[0], foot, atol=1e-9)


@pytest.mark.parametrize("leg", LEGS)
def test_a_urdf_leg_moves_its_foot_where_the_physics_engine_does(leg: LegName) -> None:
    pybullet = pytest.importorskip("pybullet")
    description = _description("a1")
    joints = description.legs[leg].joints
    client = pybullet.connect(pybullet.DIRECT)
    try:
        body = pybullet.loadURDF(description.urdf, physicsClientId=client)
        info = [pybullet.getJointInfo(body, i, client) for i in range(pybullet.getNumJoints(body, client))]
        index = {entry[1].decode(): entry[0] for entry in info}
        links = {entry[12].decode(): entry[0] for entry in info}
        # the engine places the body by its centre of mass, a description by the root link's origin
        inertial = pybullet.getDynamicsInfo(body, -1, client)
        pybullet.resetBasePositionAndOrientation(body, inertial[3], inertial[4], client)
        for pose in np.random.default_rng(2).uniform(-1.0, 1.0, size=(20, 3)):
            for joint, angle in zip(joints, pose, strict=True):
                pybullet.resetJointState(body, index[joint.urdf], angle, physicsClientId=client)
            foot = pybullet.getLinkState(body, links[description.legs[leg].foot.urdf], 1, 1, client)[4]
            np.testing.assert_allclose(LegKinematics(description.legs[leg]).forward(pose[None, :])[0], foot, atol=1e-6)
    finally:
        pybullet.disconnect(client)


@pytest.mark.parametrize("robot", ROBOTS)
def test_the_derivatives_that_the_search_for_angles_uses_are_those_of_the_foot(robot: str) -> None:
    chain = CHAINS[robot, "front_right"]
    pose = np.clip(np.full(len(chain.lower), 0.4), chain.lower, chain.upper)
    _, slope, bend = chain._derivatives(pose[None, :])
    by_steps = approx_fprime(pose, lambda q: chain.forward(q[None, :])[0], 1e-7)
    np.testing.assert_allclose(slope[0], by_steps, atol=1e-6)
    bend_by_steps = approx_fprime(pose, lambda q: chain._derivatives(q[None, :])[1][0].ravel(), 1e-7)
    np.testing.assert_allclose(bend[0].reshape(bend_by_steps.shape), bend_by_steps, atol=1e-6)
