"""A rotor resists its joint's acceleration and nothing else, although the engine only knows links."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from robotps.description import load_description
from robotps.gait import gait_cycle, initial_gait
from robotps.parameters import FloatArray
from sim.body import body_of
from sim.robot import SimulatedRobot
from sim.rotor import Rotors, mass_matrix

Afloat = Callable[..., SimulatedRobot]
NO_FRICTION = {"coulomb_friction": 0.0, "viscous_friction": 0.0}


def speeds(robot: SimulatedRobot) -> FloatArray:
    """Of (trunk's spin, joints), rad/s, while the trunk is level."""
    p, where = robot._p, {"physicsClientId": robot._client}
    joints = [state[1] for state in p.getJointStates(robot._body, robot._joints, **where)]
    return np.array([*p.getBaseVelocity(robot._body, **where)[1], *joints])


@pytest.mark.parametrize("joint", [0, 1, 2])
@pytest.mark.parametrize("name", ["ers210", "dkitty", "bittle"])
def test_mass_matrix_is_the_engines(afloat: Afloat, name: str, joint: int) -> None:
    robot = afloat(name, servo=NO_FRICTION)
    torque = np.zeros(robot.description.n_joints)
    torque[joint] = 0.01 * robot.description.servo.stall_torque
    angles = np.array([state[0] for state in robot._states])
    expected = np.linalg.solve(mass_matrix(robot._links, angles), np.concatenate([np.zeros(3), torque]))
    p, where = robot._p, {"physicsClientId": robot._client}
    p.setJointMotorControlArray(robot._body, robot._joints, p.TORQUE_CONTROL, forces=torque.tolist(), **where)
    p.stepSimulation(**where)
    first = speeds(robot) / robot._step
    assert first == pytest.approx(expected, rel=2e-3, abs=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("joint", [0, 1, 2])
@pytest.mark.parametrize("name", ["ers210", "dkitty", "bittle"])
def test_only_joint_accelerations_feel_the_rotors(
    afloat: Afloat, monkeypatch: pytest.MonkeyPatch, name: str, joint: int
) -> None:
    robot = afloat(name, servo=NO_FRICTION)
    n, armature = robot.description.n_joints, robot._servos.armature
    torque = np.zeros(n)
    torque[joint] = 0.01 * robot.description.servo.stall_torque
    angles = np.array([state[0] for state in robot._states])
    bodies = mass_matrix(body_of(robot.description), angles)
    true = bodies + np.diag([0.0] * 3 + [armature] * n)
    expected = np.linalg.solve(true, np.concatenate([np.zeros(3), torque]))
    naive = np.linalg.solve(mass_matrix(robot._links, angles), np.concatenate([np.zeros(3), torque]))
    robot._rotors.start_at(angles.tolist(), [0.0] * (3 + n))
    monkeypatch.setattr(robot._servos, "drive", lambda *_: torque.tolist())
    for _ in range(5):
        before = speeds(robot)
        robot._advance(angles.tolist(), None)
    reached = (speeds(robot) - before) / robot.description.control_period
    largest = np.abs(expected).max()
    assert np.abs(reached - expected).max() < 0.03 * largest
    assert np.abs(naive - expected).max() > 0.1 * largest


@pytest.mark.parametrize("foot", [0, 3])
@pytest.mark.parametrize("name", ["ers210", "dkitty", "bittle"])
def test_a_foot_that_strikes_the_floor_is_stopped_by_the_true_masses(
    afloat: Afloat, monkeypatch: pytest.MonkeyPatch, name: str, foot: int
) -> None:
    """The engine's step, here with a contact that takes three speeds away, made again until it is that of M - C."""
    robot = afloat(name)
    n, armature, step = robot.description.n_joints, robot._servos.armature, robot._step
    angles = np.array([state[0] for state in robot._states])
    naive = mass_matrix(robot._links, angles)
    true = mass_matrix(body_of(robot.description), angles) + np.diag([0.0] * 3 + [armature] * n)
    # speeds of a foot, of the trunk's spin and its leg's joints
    lever = np.random.default_rng(foot).normal(0.0, 0.1, (3, 3 + n))
    own = 3 + foot * n // 4 + np.arange(n // 4)
    lever[:, np.setdiff1d(np.arange(3, 3 + n), own)] = 0.0
    falling = np.zeros(3 + n)
    falling[own] = 5.0

    def struck(masses: FloatArray, force: FloatArray) -> FloatArray:
        """Speeds after the step in which the foot comes to rest."""
        system = np.block([[masses, -lever.T], [lever, np.zeros((3, 3))]])
        known = np.concatenate([masses @ falling + step * force, np.zeros(3)])
        return np.linalg.solve(system, known)[: 3 + n]

    monkeypatch.setattr("sim.rotor.CLOSE", 1e-6)
    monkeypatch.setattr("sim.rotor.MOST_TRIES", 1000)
    rotors = Rotors(robot._links, armature, angles, step)
    rotors.start_at(angles.tolist(), falling.tolist())
    expected, first = struck(true, np.zeros(3 + n)), struck(naive, np.zeros(3 + n))
    while not rotors.settled((reached := struck(naive, np.array(rotors.force))).tolist()):
        pass
    assert np.abs(reached - expected).max() < 1e-3
    assert np.abs(first - expected).max() > 0.1


def test_a_step_made_again_begins_where_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    settled, tries = Rotors.settled, itertools.count(1)
    monkeypatch.setattr("sim.rotor.CLOSE", np.inf)
    once = walked()
    monkeypatch.setattr(Rotors, "settled", lambda self, speeds: next(tries) % 3 == 0 and settled(self, speeds))
    assert walked() == pytest.approx(once, abs=1e-9)
    assert next(tries) > 3 * len(once)


def test_feet_that_strike_the_floor_are_why_steps_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    settled, answers = Rotors.settled, []
    monkeypatch.setattr(Rotors, "settled", lambda *given: answers.append(settled(*given)) or answers[-1])
    walked()
    again = answers.count(False)
    assert 0.01 * len(answers) < again < 0.3 * len(answers)
    answers.clear()
    walked(on_stand=True)
    assert answers.count(False) < 0.1 * again


def walked(on_stand: bool = False) -> FloatArray:
    """Joint angles, rad, of a D'Kitty at its first gait, (T, n_joints)."""
    description = load_description("dkitty")
    cycle = gait_cycle(description, initial_gait(description))
    with SimulatedRobot(description, on_stand=on_stand) as robot:
        robot.stand(cycle.standing)
        return np.array([seen.position for seen in robot.play(cycle, 1.0)])
