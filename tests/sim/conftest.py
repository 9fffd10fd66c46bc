"""A robot afloat: no gravity, no floor in reach, no friction; for what must hold of its body and servos alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import numpy as np
import pytest

from robotps.description import RobotDescription, load_description
from robotps.legs import LEGS
from robotps.parameters import FloatArray
from sim.robot import SimulatedRobot
from sim.world import Start, World

Afloat = Callable[..., SimulatedRobot]


def rest(description: RobotDescription) -> FloatArray:
    return np.concatenate([description.legs[leg].rest for leg in LEGS])


@pytest.fixture
def afloat() -> Iterator[Afloat]:
    with ExitStack() as stack:

        def build(name: str, **world: object) -> SimulatedRobot:
            description = load_description(name)
            still = World.model_validate({"start": Start(joint_noise_rad=0, yaw_noise_rad=0), **world})
            robot = stack.enter_context(SimulatedRobot(description, still))
            robot.stand(rest(description))
            p, client = robot._p, robot._client
            p.setGravity(0, 0, 0, physicsClientId=client)
            # PyBullet sets the trunk's principal axes; the trunk itself is to be level
            level = p.multiplyTransforms((0, 0, 100), (0, 0, 0, 1), *robot._com)
            p.resetBasePositionAndOrientation(robot._body, *level, physicsClientId=client)
            p.resetBaseVelocity(robot._body, (0, 0, 0), (0, 0, 0), physicsClientId=client)
            for i, angle in zip(robot._joints, rest(description).tolist(), strict=True):
                p.resetJointState(robot._body, i, angle, 0.0, physicsClientId=client)
            robot._states = p.getJointStates(robot._body, robot._joints, physicsClientId=client)
            return robot

        yield build
