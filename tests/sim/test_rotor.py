"""A rotor resists its joint's acceleration and nothing else, although the engine only knows links."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from robotps.parameters import FloatArray
from sim.body import body_of
from sim.robot import SimulatedRobot
from sim.rotor import Rotors, mass_matrix

Afloat = Callable[..., SimulatedRobot]
NO_FRICTION = {"coulomb_friction": 0.0, "viscous_friction": 0.0}


def accelerations(robot: SimulatedRobot, torque: FloatArray, rotors: Rotors | None, steps: int) -> FloatArray:
    """Of (trunk's spin, joints) in every step, with constant joint torques from rest."""
    p, where = robot._p, {"physicsClientId": robot._client}
    speeds = []
    for _ in range(steps + 1):
        joints = [state[1] for state in p.getJointStates(robot._body, robot._joints, **where)]
        speeds.append([*p.getBaseVelocity(robot._body, **where)[1], *joints])
        extra = np.zeros(len(torque) + 3) if rotors is None else np.array(rotors.force(speeds[-1]))
        forces = (torque + extra[3:]).tolist()
        p.setJointMotorControlArray(robot._body, robot._joints, p.TORQUE_CONTROL, forces=forces, **where)
        p.applyExternalTorque(robot._body, -1, extra[:3].tolist(), p.WORLD_FRAME, **where)
        p.stepSimulation(**where)
    return np.diff(np.array(speeds), axis=0) / robot._step


@pytest.mark.parametrize("joint", [0, 1, 2])
@pytest.mark.parametrize("name", ["ers210", "dkitty", "bittle"])
def test_mass_matrix_is_the_engines(afloat: Afloat, name: str, joint: int) -> None:
    robot = afloat(name, servo=NO_FRICTION)
    torque = np.zeros(robot.description.n_joints)
    torque[joint] = 0.01 * robot.description.servo.stall_torque
    angles = np.array([state[0] for state in robot._states])
    expected = np.linalg.solve(mass_matrix(robot._links, angles), np.concatenate([np.zeros(3), torque]))
    first = accelerations(robot, torque, None, 1)[0]
    assert first == pytest.approx(expected, rel=2e-3, abs=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("joint", [0, 1, 2])
@pytest.mark.parametrize("name", ["ers210", "dkitty", "bittle"])
def test_after_some_steps_only_joint_accelerations_feel_the_rotors(afloat: Afloat, name: str, joint: int) -> None:
    robot = afloat(name, servo=NO_FRICTION)
    n, armature = robot.description.n_joints, robot._servos.armature
    torque = np.zeros(n)
    torque[joint] = 0.01 * robot.description.servo.stall_torque
    angles = np.array([state[0] for state in robot._states])
    bodies = mass_matrix(body_of(robot.description), angles)
    true = bodies + np.diag([0.0] * 3 + [armature] * n)
    expected = np.linalg.solve(true, np.concatenate([np.zeros(3), torque]))
    naive = np.linalg.solve(mass_matrix(robot._links, angles), np.concatenate([np.zeros(3), torque]))
    rotors = Rotors(robot._links, armature, angles, robot._step)
    reached = accelerations(robot, torque, rotors, 25)[-1]
    largest = np.abs(expected).max()
    assert np.abs(reached - expected).max() < 0.03 * largest
    assert np.abs(naive - expected).max() > 0.1 * largest
