"""The one interface that a simulated and a physical robot share, and what they report."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from typing_extensions import Self

from robotps.description import RobotDescription
from robotps.parameters import FloatArray

Vector = FloatArray | Sequence[float]
"""What one reading may be handed over as; telemetry turns it into arrays."""


@dataclass(slots=True)
class Observation:
    """What a robot reported at one control period. None: this robot has no such sense; NaN: this reading is missing.

    time: s since the motion began: in simulation the end of the control period, on a bus soon after its beginning.
    sent: the joint targets of that period as really sent after clipping, rad, (n_joints,); commanded: as the
    motion asked for them, where that may differ. late: s that the period began after its deadline, where it has one.
    position rad, velocity rad/s, torque N m, current A, load (share of full effort), temperature degC: (n_joints,).
    orientation: of the body, quaternion x, y, z, w. angular_velocity: of the body in its own frame, rad/s, (3,).
    acceleration: specific force in the body's frame, m/s^2, (3,).
    base_position m (3,) and base_velocity m/s (3,): of the body's centre in the floor's frame, where something knows
    them (simulation's truth, motion capture); orientation is then in the same frame.
    voltage: of the battery, V.
    """

    time: float
    sent: Vector
    position: Vector | None = None
    velocity: Vector | None = None
    torque: Vector | None = None
    current: Vector | None = None
    temperature: Vector | None = None
    orientation: Vector | None = None
    angular_velocity: Vector | None = None
    acceleration: Vector | None = None
    base_position: Vector | None = None
    base_velocity: Vector | None = None
    voltage: float | None = None
    load: Vector | None = None
    commanded: Vector | None = None
    late: float | None = None


class Motion(Protocol):
    """Joint targets as a function of time; a closed-loop motion may also look at the last observation."""

    def __call__(self, time: float, last: Observation | None) -> FloatArray:
        """Joint targets, rad, shape (n_joints,), at `time` seconds after the motion began."""


class RobotFault(Exception):
    """The robot could not go on (cable, overheating, lost packets, ...): the trial does not count and is repeated."""


class Robot(ABC):
    """A quadruped that can stand, play a motion and go limp; joints are in the order of `description.joint_names`.

    `senses` names the fields of Observation that this robot fills. A motion ends safely whatever happens: whoever
    iterates over `play` may break off (a fall), and the robot then stops gently.
    """

    description: RobotDescription
    senses: frozenset[str]

    @property
    def identity(self) -> str:
        """Which robot this is: its trials are recorded under this name."""
        return self.description.name

    @abstractmethod
    def connect(self) -> None:
        """Make ready; raises RobotpsError where the robot cannot be reached."""

    @abstractmethod
    def stand(self, joints: FloatArray) -> None:
        """Go gently to the joint angles, rad, shape (n_joints,), and wait there."""

    @abstractmethod
    def play(self, motion: Motion, seconds: float) -> Iterator[Observation]:
        """Play a motion, one observation a control period; raises RobotFault where it cannot go on."""

    @abstractmethod
    def relax(self) -> None:
        """Take the torque off every joint."""

    @abstractmethod
    def close(self) -> None:
        """Leave the robot in a safe state and let go of it. May be called twice."""

    def equipment(self) -> dict[str, Any]:
        """Which robot this is (port, servos, calibration), as JSON: written down with a physical trial."""
        return {}

    def __enter__(self) -> Self:
        try:
            self.connect()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Telemetry:
    """Observations of one motion, column by column: `time` (T,), joint quantities (T, n_joints), others (T, k).

    A sense the robot does not have is None.
    """

    time: FloatArray
    sent: FloatArray
    position: FloatArray | None = None
    velocity: FloatArray | None = None
    torque: FloatArray | None = None
    current: FloatArray | None = None
    temperature: FloatArray | None = None
    orientation: FloatArray | None = None
    angular_velocity: FloatArray | None = None
    acceleration: FloatArray | None = None
    base_position: FloatArray | None = None
    base_velocity: FloatArray | None = None
    voltage: FloatArray | None = None
    load: FloatArray | None = None
    commanded: FloatArray | None = None
    late: FloatArray | None = None

    @classmethod
    def of(cls, observations: Sequence[Observation]) -> Telemetry:
        """Stack observations of one robot; raises ValueError for none."""
        if not observations:
            raise ValueError("a motion without a single observation has no telemetry")
        columns: dict[str, Any] = {}
        for field in fields(cls):
            values = [getattr(observation, field.name) for observation in observations]
            columns[field.name] = None if values[0] is None else np.array(values, dtype=np.float64)
        return cls(**columns)

    def in_force(self, period: float) -> FloatArray:
        """The targets that each row's readings were taken under, rad, (T, n_joints); period: s between two rows.

        Those of the row itself in simulation, of the row before it on a bus, whose servos answer before they move.
        """
        return self.sent if self.sensed_at_end(period) else np.vstack([self.sent[:1], self.sent[:-1]])

    def sent_at(self, period: float) -> FloatArray:
        """When each row's targets came into force, s, (T,); period: see `in_force`."""
        return np.concatenate([[0.0], self.time[:-1]]) if self.sensed_at_end(period) else self.time

    def sensed_at_end(self, period: float) -> bool:
        """Whether a row's readings were taken when the control period of its targets was over, not when it began."""
        return bool((self.time - period * np.arange(len(self.time))).min() > 0.95 * period)

    def columns(self) -> dict[str, FloatArray]:
        """The quantities that were sensed, by name."""
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: values for name, values in named if values is not None}
