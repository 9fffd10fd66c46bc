"""How far a robot went, whoever measured it: simulation's ground truth here, a person's or a camera's in hardware/."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from robotps.errors import RobotpsError
from robotps.parameters import FloatArray
from robotps.robot import Telemetry

CLOCKS_APART = 0.005
"""s by which a moment may lie outside a track and still count as its end."""


@dataclass(frozen=True)
class Track:
    """Where the body's centre was at times (T,), s since the motion began: position m (T, 3), quaternion (T, 4)."""

    time: FloatArray
    position: FloatArray
    orientation: FloatArray


@dataclass(frozen=True)
class Travel:
    """What the body did between two moments. None: not measured.

    forward, lateral (left positive): m, along and across the heading at the first moment. heading_change: rad, left
    positive. seconds: between the moments, as the odometer timed them. forward_std: standard deviation of `forward`, m.
    track: of the whole motion.
    """

    forward: float
    seconds: float
    lateral: float | None = None
    heading_change: float | None = None
    forward_std: float = 0.0
    track: Track | None = None


class Odometer(Protocol):
    """Measures one motion at a time."""

    @property
    def asks(self) -> bool:
        """Whether it asks a person, who is not troubled with a motion that was broken off."""

    def start(self) -> None:
        """A motion is about to begin."""

    def travel(self, telemetry: Telemetry, begin: float, end: float) -> Travel:
        """The travel between two moments (s since the motion began), once the motion has ended."""


class Truth:
    """The base position in the robot's own telemetry: simulation knows it."""

    asks = False

    def start(self) -> None: ...

    def travel(self, telemetry: Telemetry, begin: float, end: float) -> Travel:
        """Straight from base position and orientation; raises RobotpsError where the robot does not report them."""
        if telemetry.base_position is None or telemetry.orientation is None:
            raise RobotpsError("this robot does not know where it is: choose another odometer than truth")
        return travel_between(telemetry.time, telemetry.base_position, telemetry.orientation, begin, end)


def travel_between(time: FloatArray, position: FloatArray, orientation: FloatArray, begin: float, end: float) -> Travel:
    """Travel from a track of positions (T, 3) and quaternions x, y, z, w (T, 4) at times (T,), between two moments."""
    first, last = np.searchsorted(time, [begin, end + 1e-9], side="left")
    last = min(int(last), len(time)) - 1
    if last <= first:
        return Travel(forward=0.0, seconds=0.0, lateral=0.0, heading_change=0.0)
    yaw = np.unwrap(heading(orientation[first : last + 1]))
    ahead = np.array([np.cos(yaw[0]), np.sin(yaw[0])])
    moved = position[last, :2] - position[first, :2]
    return Travel(
        forward=float(moved @ ahead),
        lateral=float(ahead[0] * moved[1] - ahead[1] * moved[0]),
        heading_change=float(yaw[-1] - yaw[0]),
        seconds=float(time[last] - time[first]),
    )


def along_track(telemetry: Telemetry, track: Track) -> Telemetry:
    """The same motion with the body's pose at each of its moments, linear between those of the track.

    A robot's own sense of its orientation gives way, as pose and orientation are of one frame.
    """
    position = _at(telemetry.time, track.time, track.position)
    # q and -q are the same turn: between two of them lies the shorter way
    flips = np.where((track.orientation[1:] * track.orientation[:-1]).sum(axis=1) < 0, -1.0, 1.0)
    signs = np.concatenate([[1.0], np.cumprod(flips)])
    orientation = _at(telemetry.time, track.time, track.orientation * signs[:, None])
    norm = np.linalg.norm(orientation, axis=1, keepdims=True)
    return replace(telemetry, base_position=position, orientation=orientation / norm)


def _at(moments: FloatArray, time: FloatArray, values: FloatArray) -> FloatArray:
    """Linear between moments, NaN where the track does not reach (a device's clock may be a little off the track's)."""
    nearest = np.clip(moments, time[0], time[-1])
    within = np.abs(moments - nearest) <= CLOCKS_APART
    columns = [np.where(within, np.interp(nearest, time, column), np.nan) for column in values.T]
    return np.stack(columns, axis=1)


def heading(orientation: FloatArray) -> FloatArray:
    """Yaw, rad, shape (T,), of quaternions x, y, z, w (T, 4)."""
    x, y, z, w = orientation.T
    yaw: FloatArray = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return yaw


def upright(orientation: FloatArray) -> FloatArray:
    """Cosine of the body's tilt, shape (T,), of quaternions x, y, z, w (T, 4)."""
    x, y = orientation[:, 0], orientation[:, 1]
    cosine: FloatArray = 1 - 2 * (x * x + y * y)
    return cosine
