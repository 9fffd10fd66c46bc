"""One physical robot for trial after trial: connected, cool, charged and in its place, with a person's help."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hardware.bus import Reading
from hardware.faults import HardwareFault
from hardware.person import Person
from hardware.robot import SerialRobot
from hardware.timing import LoopTiming
from robotps.errors import RobotpsError
from robotps.robot import Robot

TRIES = 3
_COOL_FOR = 5.0
"""s between two looks at the temperature."""


class Session:
    """Called before every trial, like a simulation is opened: yields the robot, ready for that one trial.

    The link may be lost and come back in between, also under another name. Raises RobotpsError where the robot cannot
    be made ready. Worlds and seeds mean nothing to a physical robot.
    """

    def __init__(self, robot: SerialRobot, person: Person) -> None:
        self.robot = robot
        self._person = person
        self._connected = False

    @contextlib.contextmanager
    def __call__(self, world: Mapping[str, Any] | None = None, seed: int = 0) -> Iterator[Robot]:
        self.make_ready()
        answer = self._person.ask("place_at_start", "put the robot at the start, on its feet, facing along the way")
        if str(answer.get("text", "")).lower() == "q":
            raise KeyboardInterrupt
        self.robot.timing = LoopTiming()
        yield self.robot
        if self.robot.timing.cycles:
            self.robot.tell(f"loop   {self.robot.timing}")

    @contextlib.contextmanager
    def on_stand(self) -> Iterator[Robot]:
        """The same for a motion in the air."""
        self.make_ready()
        self._person.ask("on_stand", "put the robot on a stand: no foot may touch anything")
        yield self.robot

    def close(self) -> None:
        """Lie down, torque off."""
        self.robot.close()
        self._connected = False

    def __enter__(self) -> Session:
        self._reach()  # what is not there is told before anything is begun
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def make_ready(self) -> None:
        """Reachable, charged and cool; each of them as often as a person is willing to help."""
        for tries in range(TRIES + 1):
            try:
                self._reach()
                self._charge()
                self._cool()
                return
            except HardwareFault as fault:
                self.close()
                if tries == TRIES:
                    raise
                self._person.tell(str(fault))

    def _reach(self) -> None:
        """Connected, and every servo answers; a port that is gone is asked for and opened again."""
        if self._connected and not self.robot.safety.stopped:
            with contextlib.suppress(HardwareFault):
                self.robot.read()
                return
        if self._connected:
            self.close()
        for tries in range(TRIES + 1):
            try:
                self.robot.connect()
                self._connected = True
                return
            except RobotpsError as error:
                if tries == TRIES or not self._was_reached:
                    raise
                answer = self._person.ask("plug_cable", f"{error}\nplug the cable in")
                self.robot.move_to(str(answer.get("port") or self.robot.port))
                time.sleep(0.5)

    @property
    def _was_reached(self) -> bool:
        """A robot that was there before is waited for; one that never was is an error at once."""
        return bool(self.robot.servos)

    def _charge(self) -> None:
        for _ in range(TRIES):
            voltage, least = self.robot.read().voltage, self.robot.safety.rest_voltage
            if voltage is None or not voltage < least:
                return
            self.robot.relax()
            self._person.ask("change_battery", f"the battery is low: {voltage:.1f} V, at least {least:.1f} V")
            self.close()
            self._reach()
        raise HardwareFault(f"the battery is still low: {voltage:.1f} V, at least {least:.1f} V")

    def _cool(self) -> None:
        hottest = _hottest(self.robot.read())
        limit = self.robot.limits.cool_temperature
        if hottest <= limit:
            return
        self.robot.relax()
        self._person.tell(f"cooling down from {hottest:.0f} to {limit:.0f} degC")
        while _hottest(self.robot.read()) > limit:
            self.robot.rest(_COOL_FOR)


def _hottest(reading: Reading) -> float:
    if reading.temperature is None:
        return 0.0
    return float(np.nanmax(reading.temperature))
