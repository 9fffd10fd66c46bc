"""Torque off from outside, also while another program has the port."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from hardware.joints import JointMap
from hardware.port import holder_of
from hardware.robot import answering, bus_of
from hardware.safety import Safety, SafetyLimits
from robotps.description import RobotDescription
from robotps.errors import RobotpsError

_LET_GO = 3.0
"""s that another robotps gets to take its own torque off and close the port."""


def stop_robot(description: RobotDescription, port: str, tell: Callable[[str], None]) -> list[str]:
    """Torque off on every servo; who did not confirm. Raises RobotpsError where the port cannot be opened.

    Another robotps that moves the robot is told to end, like by Ctrl-C, after the packets are out; another program is
    left alone, and named.
    """
    bus = bus_of(description, port)
    safety = Safety(bus, JointMap(description, bus.steps_per_turn, bus.step_limits), description.servo, SafetyLimits())
    holder = holder_of(port)
    if holder is not None:
        bus.port.open(exclusive=False)
        safety.stop_now("stopped from outside")
        bus.port.close()
        if not _is_robotps(holder):
            raise RobotpsError(f"torque off was sent, but process {holder} has {port} and may move the robot: end it")
        tell(f"telling process {holder} to stop")
        with contextlib.suppress(ProcessLookupError):
            os.kill(holder, signal.SIGTERM)
        deadline = time.monotonic() + _LET_GO
        while holder_of(port) == holder and time.monotonic() < deadline:
            time.sleep(0.05)
    bus.port.open()
    try:
        safety.bus = answering(bus, tell)
        return safety.release()
    finally:
        bus.port.close()


def _is_robotps(process: int) -> bool:
    """Whether a process is a robotps command; another one's arguments may contain the word, a port's name for one."""
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(word == b"robotps.cli.app" or word.rpartition(b"/")[2] == b"robotps" for word in words)
