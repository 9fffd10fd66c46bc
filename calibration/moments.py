"""From a logged motion to the states it went through: where a simulation can begin, and what it should have come to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from robotps.description import RobotDescription
from robotps.feet import feet_on_floor
from robotps.gait import chains
from robotps.parameters import FloatArray
from robotps.robot import Telemetry
from sim.shooting import Moment

REACH = 2
"""Ticks to either side that a velocity is fitted over."""
UNDER_WAY = 8
"""Commands that may still be on their way when a simulation begins."""
STANDING = 5.0
"""Percentile of the lowest foot's height, over a motion, at which it stands on the floor."""


@dataclass(frozen=True)
class States:
    """A motion tick by tick, (T, ...): as in Telemetry, with every quantity known.

    angular_velocity: of the body in its own frame, rad/s. voltage: NaN where it was not sensed.
    """

    time: FloatArray
    sent: FloatArray
    position: FloatArray
    velocity: FloatArray
    base_position: FloatArray
    orientation: FloatArray
    base_velocity: FloatArray
    angular_velocity: FloatArray
    voltage: FloatArray

    def moment(self, tick: int) -> Moment:
        """The state at the end of a tick; the commands after it are `sent[tick + 1 :]`."""
        voltage = float(self.voltage[tick])
        return Moment(
            sent=self.sent[max(0, tick + 1 - UNDER_WAY) : tick + 1],
            position=self.position[tick],
            velocity=self.velocity[tick],
            base_position=self.base_position[tick],
            orientation=self.orientation[tick],
            base_velocity=self.base_velocity[tick],
            angular_velocity=self.angular_velocity[tick],
            voltage=voltage if np.isfinite(voltage) else None,
        )


def states_of(description: RobotDescription, telemetry: Telemetry) -> States | None:
    """The states of a motion; None where joints or the body's pose were not sensed, or not for long enough.

    Velocities that were not sensed are fitted to the poses of neighbouring ticks. The body's height is shifted so that
    the feet stand on the floor: who tracks a body may have the floor elsewhere, and joints' zeros are not exact.
    """
    if telemetry.position is None or telemetry.base_position is None or telemetry.orientation is None:
        return None
    n = len(telemetry.time)
    sensed = np.column_stack([telemetry.position, telemetry.base_position, telemetry.orientation])
    known = _whole(sensed)
    if known.sum() < max(20, n // 2):
        return None
    time = telemetry.time
    position = _filled(time, telemetry.position, known)
    base = _filled(time, telemetry.base_position, known)
    orientation = _filled(time, telemetry.orientation, known)
    orientation /= np.linalg.norm(orientation, axis=1, keepdims=True)
    velocity = telemetry.velocity
    velocity = slopes(time, position) if velocity is None else _filled(time, velocity, _whole(velocity))
    spin = telemetry.angular_velocity
    placed = Telemetry(time, telemetry.sent, position=position, base_position=base, orientation=orientation)
    base = base - np.array([0.0, 0.0, _floor(description, placed)])
    return States(
        time=time,
        sent=telemetry.in_force(description.control_period),
        position=position,
        velocity=velocity,
        base_position=base,
        orientation=orientation,
        base_velocity=slopes(time, base) if telemetry.base_velocity is None else telemetry.base_velocity,
        angular_velocity=turning(time, orientation) if spin is None else spin,
        voltage=np.full(n, np.nan) if telemetry.voltage is None else telemetry.voltage,
    )


def slopes(time: FloatArray, values: FloatArray) -> FloatArray:
    """Derivatives (T, d) of values (T, d) by straight lines through each tick and its neighbours."""
    result = np.empty_like(values)
    for tick in range(len(time)):
        near = slice(max(0, tick - REACH), tick + REACH + 1)
        t = time[near] - time[near].mean()
        result[tick] = t @ (values[near] - values[near].mean(axis=0)) / (t @ t)
    return result


def turning(time: FloatArray, orientation: FloatArray) -> FloatArray:
    """Angular velocities in the body's own frame, rad/s, (T, 3), of orientations (T, 4)."""
    rotation = Rotation.from_quat(orientation)
    result = np.empty((len(time), 3))
    for tick in range(len(time)):
        near = slice(max(0, tick - REACH), tick + REACH + 1)
        turned = (rotation[tick].inv() * rotation[near]).as_rotvec()
        t = time[near] - time[near].mean()
        result[tick] = t @ (turned - turned.mean(axis=0)) / (t @ t)
    return result


def _whole(values: FloatArray) -> NDArray[np.bool_]:
    """Ticks of which nothing is missing."""
    return np.asarray(np.isfinite(values).all(axis=1))


def _filled(time: FloatArray, values: FloatArray, known: NDArray[np.bool_]) -> FloatArray:
    """Readings that are missing, interpolated."""
    if known.all():
        return np.array(values)
    filled: FloatArray = np.stack([np.interp(time, time[known], column[known]) for column in values.T], axis=1)
    return filled


def _floor(description: RobotDescription, telemetry: Telemetry) -> float:
    """Height of the floor in the frame in which the body was tracked, m."""
    placed = feet_on_floor(description, telemetry)
    assert placed is not None  # positions and poses are there
    radii = np.array([chain.foot_radius for chain in chains(description)])[:, None]
    return float(np.percentile((placed[:, :, 2] - radii).min(axis=0), STANDING))
