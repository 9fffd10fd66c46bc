"""What the virtual buses of servos have in common: who hangs on them, how time passes, what is heard of two at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from hardware.virtual.plant import Plant
from hardware.virtual.server import Reply
from robotps.description import Wiring
from robotps.errors import RobotpsError
from robotps.legs import LEGS

BOOT_TIME = 0.25
"""s that a servo is deaf after a restart (assumption)."""


class Servo(Protocol):
    """boot_time: s that a restart takes."""

    boot_time: float

    def boot(self) -> None:
        """Start anew."""


AnyServo = TypeVar("AnyServo", bound=Servo)


class ServoBus(Generic[AnyServo]):
    """The servos of a robot on one bus. lockstep: every instruction that writes a goal lets a control period pass.

    That is once the servos have answered, themselves or to a question right after it: what they say is as at its
    beginning, as on a real bus, and host and physics are busy at the same time. It does not depend on which bytes
    arrive together.
    """

    def __init__(self, plant: Plant, servos: Sequence[AnyServo], *, lockstep: bool) -> None:
        self.plant = plant
        self.servos = servos
        self.lockstep = lockstep
        self._owes_period = self._has_answered = False
        for servo in servos:
            servo.boot_time = 0.0 if lockstep else BOOT_TIME

    @property
    def time(self) -> float:
        return self.plant.time

    def advance(self, seconds: float) -> None:
        self.plant.advance(seconds)

    def settle(self) -> None:
        if self._has_answered:
            self._pass_period()

    def power_cycle(self) -> None:
        """Every servo starts anew."""
        for servo in self.servos:
            servo.boot()

    def spontaneous(self) -> Sequence[Reply]:
        return ()

    def _before(self, question: bool) -> None:
        """An instruction is about to be obeyed; question: it only asks."""
        if self._owes_period and (self._has_answered or not question):
            self._pass_period()

    def _step(self, goal: bool) -> None:
        """An instruction has been obeyed; goal: it wrote one."""
        self._owes_period |= goal and self.lockstep

    def _after(self, replies: Sequence[Reply]) -> None:
        """This is the answer to it."""
        self._has_answered = self._owes_period and bool(replies)

    def _pass_period(self) -> None:
        self._owes_period = self._has_answered = False
        self.plant.advance_period()


def wiring_of(plant: Plant) -> tuple[Wiring, list[tuple[int, int]]]:
    """A robot's wiring, and id and zero of each joint's servo; raises RobotpsError for a description without."""
    description = plant.description
    wiring = description.wiring
    if wiring is None:
        raise RobotpsError(f"{description.name}: the description has no [wiring]: a virtual robot needs its ids")
    legs = [wiring.legs[leg] for leg in LEGS]
    return wiring, [pair for leg in legs for pair in zip(leg.ids, leg.zeros, strict=True)]


def mixed(packets: Sequence[bytes]) -> bytes:
    """What is heard of packets that are sent at once: on the wire a low level wins."""
    heard = bytearray(max(packets, key=len))
    for packet in packets:
        for i, byte in enumerate(packet):
            heard[i] &= byte
    return bytes(heard)
