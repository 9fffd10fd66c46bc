"""Short predictions from logged moments: set the simulated robot to a state and let it follow the logged commands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robotps.parameters import FloatArray
from robotps.robot import Observation
from sim.robot import SimulatedRobot, rotated


@dataclass(frozen=True)
class Moment:
    """A robot's state when a control period begins.

    sent: the latest joint targets, oldest first, rad, (k, n_joints): those still on their way. position rad, velocity
    rad/s: of the joints, (n_joints,), as their servos report them. base_position m, orientation (quaternion x, y, z,
    w), base_velocity m/s: of the body's centre in the floor's frame; angular_velocity: in the body's own frame, rad/s
    (ignored on the stand). voltage: of the battery, V; None: as the world says.
    """

    sent: FloatArray
    position: FloatArray
    velocity: FloatArray
    base_position: FloatArray
    orientation: FloatArray
    base_velocity: FloatArray
    angular_velocity: FloatArray
    voltage: float | None = None


class ShootingRobot(SimulatedRobot):
    """A simulated robot that can begin at any moment of another one's log. `stand` builds it, once for many shots."""

    def shoot(self, start: Moment, sent: FloatArray) -> list[Observation]:
        """What it observes at the ends of the control periods that follow `start`, with targets (n, n_joints), rad."""
        if self._body < 0:
            raise ValueError("the robot does not stand yet: call stand first")
        self._set(start)
        period = self.description.control_period
        observations = []
        for tick, target in enumerate(sent):
            clipped = self._clipped(target)
            observations.append(self._observe((tick + 1) * period, clipped, self._advance(clipped, None)))
        return observations

    def _set(self, start: Moment) -> None:
        p, client, servos = self._p, self._client, self._servos
        angles = start.position + np.array(servos.zeros)
        for i, angle, speed in zip(self._joints, angles.tolist(), start.velocity.tolist(), strict=True):
            p.resetJointState(self._body, i, angle, speed, physicsClientId=client)
        if not self.on_stand:
            self._set_base(start)
        self._commands = self._command_line(self._clipped(start.sent[0]))
        for target in start.sent:
            self._commands.setpoints(self._goals(self._clipped(target)))
        servos.hold_voltage(start.voltage)
        self._limp = False
        self._states = p.getJointStates(self._body, self._joints, physicsClientId=client)
        turn = self._trunk_turn()
        spin = p.getBaseVelocity(self._body, physicsClientId=client)[1]
        back = (-turn[0], -turn[1], -turn[2], turn[3])
        self._rotors.start_at(angles.tolist(), [*rotated(back, spin), *start.velocity.tolist()])
        self._base_velocity = self._base()[3]

    def _set_base(self, start: Moment) -> None:
        """PyBullet keeps the base at its centre of mass, with velocities in the floor's frame."""
        p, client = self._p, self._client
        position, orientation = p.multiplyTransforms(start.base_position, start.orientation, *self._com)
        spin = rotated(start.orientation.tolist(), start.angular_velocity.tolist())
        arm = np.array(position) - start.base_position
        velocity = start.base_velocity + np.cross(spin, arm)
        p.resetBasePositionAndOrientation(self._body, position, orientation, physicsClientId=client)
        p.resetBaseVelocity(self._body, velocity.tolist(), spin, physicsClientId=client)
