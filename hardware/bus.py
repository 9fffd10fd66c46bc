"""A servo bus as the robot sees it: servos in joint order, positions in steps, everything else in SI units."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hardware.faults import HardwareFault
from hardware.port import Port
from robotps.parameters import FloatArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class ServoInfo:
    """What a servo says it is. settings: what it keeps by itself and a calibration must agree with, by register."""

    id: int
    model: str
    firmware: str = ""
    settings: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Reading:
    """What the servos reported at once, one entry a servo; NaN where one did not answer. None: not sensed.

    answered (n,). error (n,): error bytes, 0 for none. position: steps. velocity: rad/s at the servo's shaft.
    current A, load (fraction of full), temperature degC. voltage: of the supply, V. tick: the servos' own clocks, s,
    turning over after `Bus.tick_period`. orientation: of the body, quaternion x, y, z, w.
    """

    answered: BoolArray
    error: IntArray
    position: FloatArray | None = None
    velocity: FloatArray | None = None
    current: FloatArray | None = None
    load: FloatArray | None = None
    temperature: FloatArray | None = None
    voltage: float | None = None
    tick: FloatArray | None = None
    orientation: FloatArray | None = None


class Bus(ABC):
    """Some servos at the end of a port. Every method may raise LinkLost, most of them HardwareFault.

    joints: the joint of every servo id, in joint order. model: the servo that is expected.
    senses: which fields of an Observation a reading fills. steps_per_turn: of a servo's shaft. step_limits: the goals
    it takes. tick_period: s, None without a clock. patience: s to wait for an answer beyond its time on the wire.
    own_time: the device keeps a time of its own, which passes only while it is asked something.
    runs_cycles: it plays a whole cycle by itself (see `upload`). lies_down: it lies down by itself before its torque
    goes off. max_current: A, the servos' own limit, once they were identified. has_watchdog: see `start_watchdog`.
    """

    senses: frozenset[str]
    steps_per_turn: int
    step_limits: tuple[int, int]
    tick_period: float | None = None
    runs_cycles: bool = False
    lies_down: bool = False
    patience: float = 0.02
    own_time: bool = False
    has_watchdog: bool = False
    max_current: float = float("inf")

    def __init__(self, port: Port, joints: Mapping[int, str], model: str) -> None:
        self.port = port
        self.joints = dict(joints)
        self.ids = tuple(joints)
        self.model = model

    def label(self, id_: int) -> str:
        """A servo by its joint and id, as a person knows it."""
        return f"{self.joints[id_]} (servo {id_})" if id_ in self.joints else f"servo {id_}"

    @abstractmethod
    def identify(self) -> list[ServoInfo]:
        """Ask every servo what it is; raises HardwareFault naming all that are silent, double or of another model."""

    @abstractmethod
    def scan(self) -> list[ServoInfo]:
        """Everything that answers on this bus, whatever its id and model."""

    @abstractmethod
    def differences(self, lower: IntArray, upper: IntArray) -> list[str]:
        """What `prepare` would change in the servos' settings; nothing is written."""

    @abstractmethod
    def prepare(self, lower: IntArray, upper: IntArray) -> list[str]:
        """Torque off; latched errors cleared; mode, limits (steps, (n,)) and delays as a trial needs them.

        Returns what was changed, for the person.
        """

    @abstractmethod
    def held(self) -> IntArray:
        """Where the joints are, steps, (n,); where they were last told to be, if that is all the device knows."""

    @abstractmethod
    def energise(self, speed: float) -> None:
        """Hold where the joints are: goal = present, then torque on one by one. speed: see `set_speed_limit`."""

    @abstractmethod
    def set_speed_limit(self, speed: float) -> None:
        """The servos' own speed limit, rad/s at the shaft."""

    @abstractmethod
    def set_effort_limit(self, fraction: float) -> None:
        """The servos' own limit of effort, as a fraction of full."""

    @abstractmethod
    def write(self, steps: IntArray) -> None:
        """New goals, steps, (n,)."""

    @abstractmethod
    def read(self) -> Reading:
        """What the servos report now; silent ones are marked, not raised."""

    def exchange(self, steps: IntArray) -> Reading:
        """New goals, and what the servos report then: a control cycle."""
        self.write(steps)
        return self.read()

    @abstractmethod
    def complaint(self, index: int, error: int = 0) -> str:
        """What is wrong with one servo (by joint index; error: the error byte it sent), or nothing. The slow poll."""

    @abstractmethod
    def release_all(self) -> None:
        """Torque off for all at once, three times, without waiting for an answer: the emergency stop."""

    @abstractmethod
    def release(self) -> dict[int, str]:
        """Torque off everywhere: all at once, then one by one and confirmed. What failed, by id; never raises."""

    def start_watchdog(self, seconds: float) -> None:  # noqa: B027 - not every servo has one
        """The servos stop by themselves when they hear nothing for so long."""

    def stop_watchdog(self) -> None:  # noqa: B027
        """No more watchdog; a tripped one is cleared."""

    def upload(self, cycle: FloatArray, period: float) -> tuple[IntArray, float]:
        """Hand over a cycle of goals, steps not yet rounded (n_samples, n), to be repeated every `period` s on board.

        Returns what the device can play of it: steps, (n_frames, n), and its period, s.
        """
        raise NotImplementedError(f"{type(self).__name__} does not run cycles by itself")


def missing(bus: Bus, ids: list[int], why: str = "") -> HardwareFault:
    """The fault of servos that do not answer at all."""
    listed = ", ".join(bus.label(id_) for id_ in ids)
    return HardwareFault(
        f"no answer from {listed} on {bus.port.name} at {bus.port.baud} baud{why}: check power, cables, ids and baud "
        f"rate ('robotps ports' shows what answers where)"
    )
