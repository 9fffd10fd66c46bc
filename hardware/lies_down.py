"""A robot lies down while a person is waited for: it would stand with its torque on, and nobody watches over it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from hardware.faults import HardwareFault
from hardware.person import Person, Request
from hardware.robot import SerialRobot

IDLE = 30.0
"""s without an answer after which the robot lies down; for a pause it does so at once."""


class LiesDown:
    """A person whose robot lies down, torque off, when an answer takes long."""

    def __init__(self, person: Person, robot: SerialRobot) -> None:
        self._person = person
        self._robot = robot

    def ask(self, what: Request, message: str, **details: Any) -> Mapping[str, Any]:
        """See Person."""
        timer = threading.Timer(0.0 if what == "pause" else IDLE, self._lie_down)
        timer.daemon = True
        timer.start()
        try:
            return self._person.ask(what, message, **details)
        finally:
            timer.cancel()
            timer.join()

    def presses(self, since: float) -> list[float]:
        """See Person."""
        return self._person.presses(since)

    def tell(self, message: str) -> None:
        """See Person."""
        self._person.tell(message)

    def _lie_down(self) -> None:
        try:
            if self._robot.energised:
                self._robot.relax()
        except HardwareFault as fault:
            self._person.tell(str(fault))
