"""Short flights of the simulated robot beside logged motions: each begins at a logged moment and ends soon after it.

Contacts spoil long predictions: one foot that lands a moment too early, and everything after it is another story
(multiple shooting; Bock & Plitt 1984).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.grid import Grid
from robotps.description import RobotDescription
from robotps.gait import chains
from robotps.legs import LEGS
from robotps.parameters import FloatArray
from robotps.rotations import rotation_matrices
from sim.shooting import Moment, ShootingRobot
from sim.world import World

SECONDS = 0.12
"""Length of a shot."""
FORGET = 0.03
"""s at its beginning that do not count."""
BEHIND = 8
"""Earlier targets that a shot knows of: those that may still be on their way."""
SUNK = 0.012
"""m; a lowest foot farther from the floor than this is no error of measurement: the robot is in the air."""


@dataclass(frozen=True)
class Shot:
    """Where to begin, the targets that follow, (m, n), and what was sensed at the ends of their periods.

    quantities: position (m, n), current (m, n), travel (m, 3) m of the body since the beginning and turn (m, 3) rad,
    both along the body's first heading; those that were sensed.
    """

    start: Moment
    sent: FloatArray
    quantities: Mapping[str, FloatArray]


def shots_of(grid: Grid, begin: float, count: int, smooth: int = 7) -> list[Shot]:
    """Evenly spread shots after `begin` s; none where the body's pose is not known.

    smooth: control periods over which base and joint speeds are taken.
    """
    if grid.base_position is None or grid.orientation is None:
        return []
    length = max(4, round(SECONDS / grid.period))
    position, base = _derived(grid.base_position, grid.period, smooth)
    turned, spin = _spin(grid.orientation, grid.period, smooth)
    first, last = max(BEHIND, smooth, round(begin / grid.period)), len(grid) - length - smooth
    if last <= first:
        return []
    moments = np.unique(np.linspace(first, last, min(count, (last - first) // length + 1)).astype(int))
    found = []
    for k in moments.tolist():
        after = slice(k + 1, k + 1 + length)
        start = Moment(
            sent=grid.sent[k - BEHIND + 1 : k + 1],
            position=grid.position[k],
            velocity=grid.velocity[k],
            base_position=position[k],
            orientation=turned[k],
            base_velocity=base[k],
            angular_velocity=spin[k],
            voltage=None if grid.voltage is None else float(np.median(grid.voltage[k : k + length])),
        )
        if not all(np.isfinite(values).all() for values in (start.base_position, start.orientation, start.position)):
            continue
        quantities = {
            "position": grid.position[after],
            **_moved(start, grid.base_position[after], grid.orientation[after]),
        }
        if grid.current is not None:
            quantities["current"] = grid.current[after]
        found.append(Shot(start, grid.sent[after], quantities))
    return found


def _moved(start: Moment, position: FloatArray, orientation: FloatArray) -> dict[str, FloatArray]:
    """travel (m, 3) and turn (m, 3) along the heading at the start."""
    frames = rotation_matrices(np.concatenate([start.orientation[None, :], orientation]))
    yaw = np.arctan2(frames[0, 1, 0], frames[0, 0, 0])
    cos, sin = np.cos(yaw), np.sin(yaw)
    along = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    relative = frames[1:] @ frames[0].T
    axis = np.stack(
        [
            relative[:, 2, 1] - relative[:, 1, 2],
            relative[:, 0, 2] - relative[:, 2, 0],
            relative[:, 1, 0] - relative[:, 0, 1],
        ],
        axis=1,
    )
    return {"travel": (position - start.base_position) @ along.T, "turn": 0.5 * axis @ along.T}


def _derived(values: FloatArray, period: float, width: int) -> tuple[FloatArray, FloatArray]:
    """Smoothed values and their rate, (T, k), by quadratics over `width` samples (Savitzky & Golay 1964)."""
    from scipy.signal import savgol_filter

    smoothed: FloatArray = savgol_filter(values, width, 2, axis=0)
    rate: FloatArray = savgol_filter(values, width, 2, deriv=1, delta=period, axis=0)
    return smoothed, rate


def _spin(orientation: FloatArray, period: float, width: int) -> tuple[FloatArray, FloatArray]:
    """Smoothed orientations (T, 4), and the body's angular velocity in its own frame, rad/s, (T, 3)."""
    flips = np.where((orientation[1:] * orientation[:-1]).sum(axis=1) < 0, -1.0, 1.0)
    q = orientation * np.concatenate([[1.0], np.cumprod(flips)])[:, None]
    q, rate = _derived(q, period, width)
    q = q / np.linalg.norm(q, axis=1, keepdims=True)
    (x, y, z, w), (dx, dy, dz, dw) = q.T, rate.T
    # omega = 2 q* (x) dq/dt
    spin = 2 * np.stack(
        [
            w * dx - x * dw - y * dz + z * dy,
            w * dy - y * dw - z * dx + x * dz,
            w * dz - z * dw - x * dy + y * dx,
        ],
        axis=1,
    )
    return q, spin


def shoot(description: RobotDescription, world: World, shots: Sequence[Shot]) -> dict[str, FloatArray]:
    """What the simulated robot does: position, current, travel and turn, (shots, m, k) each. See Shot."""
    servo = description.servo
    constant = servo.no_load_speed * world.servo.speed_scale / servo.voltage  # A/(N m) of an ideal motor
    zeros = np.array(
        [world.joints[name].zero_offset_rad if name in world.joints else 0.0 for name in description.joint_names]
    )
    found: dict[str, list[FloatArray]] = {}
    with ShootingRobot(description, world.model_copy(update={"sensor": type(world.sensor)()})) as robot:
        robot.stand(np.array([angle for leg in LEGS for angle in description.legs[leg].rest]))
        for shot in shots:
            start = _on_the_floor(description, shot.start, zeros)
            seen = robot.shoot(start, shot.sent)
            base = np.array([one.base_position for one in seen])
            quantities = {
                "position": np.array([one.position for one in seen]),
                "current": np.array([one.torque for one in seen]) * constant,
                **_moved(start, base, np.array([one.orientation for one in seen])),
            }
            for name, values in quantities.items():
                found.setdefault(name, []).append(values)
    return {name: np.stack(values) for name, values in found.items()}


def _on_the_floor(description: RobotDescription, start: Moment, zeros: FloatArray) -> Moment:
    """The moment with the lowest foot just on the floor: a millimetre in it would throw the robot up."""
    from dataclasses import replace

    turn = rotation_matrices(start.orientation[None, :])[0]
    angles, column, lowest = start.position + zeros, 0, np.inf
    for chain in chains(description):
        n = len(chain.lower)
        foot = turn @ chain.forward(angles[None, column : column + n])[0]
        column += n
        lowest = min(lowest, float(start.base_position[2] + foot[2] - chain.foot_radius))
    if abs(lowest) > SUNK:
        return start
    return replace(start, base_position=start.base_position - np.array([0.0, 0.0, lowest]))


def shoot_table(
    description: RobotDescription, shots: Sequence[Shot], world: Mapping[str, Any]
) -> dict[str, FloatArray]:
    """`shoot` for a worker process: the world as a table."""
    return shoot(description, World.model_validate(dict(world)), shots)
