"""Torque off from outside, also while another program has the port."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from hardware.bus import Bus
from hardware.discover import GUESSES, look
from hardware.port import Port, holder_of
from hardware.robot import BUSES, answering, bus_of
from hardware.safety import let_go, released
from robotps.description import RobotDescription
from robotps.errors import RobotpsError

_AT_ONCE = 0.3
"""s in which a robotps that can still do anything has sent its packets."""
_LET_GO = 3.0
"""s that another robotps gets to take its own torque off and close the port."""


def stop_robot(description: RobotDescription | None, port: str, tell: Callable[[str], None]) -> list[str]:
    """Torque off on every servo; who did not confirm. Raises RobotpsError where the port cannot be opened.

    description: None where nobody says which robot it is: the packets go out in every protocol, then it is found out
    who answers. Another robotps that moves the robot is told to end, like by Ctrl-C, after the packets are out; another
    program is left alone, and named.
    """
    holder = holder_of(port)
    if holder is not None:
        ours = _is_robotps(holder)
        # packets at another rate would garble those with which a robotps ends
        if description is not None or not ours:
            _send_off(_buses(description, port))
        if not ours:
            raise RobotpsError(f"torque off was sent, but process {holder} has {port} and may move the robot: end it")
        tell(f"telling process {holder} to stop")
        with contextlib.suppress(ProcessLookupError):
            os.kill(holder, signal.SIGTERM)
            os.kill(holder, signal.SIGCONT)  # it may be suspended
        if not _leaves(holder, port, _AT_ONCE) and description is None:
            _send_off(_buses(None, port))
        _leaves(holder, port, _LET_GO)
    bus = _whatever_is_there(port, tell) if description is None else bus_of(description, port)
    bus.port.open()
    try:
        return released(answering(bus, tell))
    finally:
        bus.port.close()


def _leaves(holder: int, port: str, seconds: float) -> bool:
    """Whether a process gives a port back within so many seconds."""
    deadline = time.monotonic() + seconds
    while holder_of(port) == holder:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _buses(description: RobotDescription | None, port: str) -> list[Bus]:
    """How the robot, or any, is spoken to; boards last, so that these packets are the latest that they hear."""
    if description is not None:
        return [bus_of(description, port)]
    return [kind(Port(port, bauds[0]), {}, "") for _, kind, bauds in reversed(GUESSES)]


def _send_off(buses: list[Bus]) -> None:
    """Torque off without waiting for an answer."""
    for bus in buses:
        bus.port.open(exclusive=False)
        let_go(bus)
        bus.port.close()


def _whatever_is_there(port: str, tell: Callable[[str], None]) -> Bus:
    """The bus of whoever answers, torque off sent before anybody is asked; raises RobotpsError where nobody does."""
    _send_off(_buses(None, port))
    tell("torque off is sent; who is there?")
    found = look(port)
    if found.protocol is None or found.baud is None:
        raise RobotpsError(
            f"{port}: torque off was sent in every protocol, but nobody answers: name the robot with --robot, or "
            "switch its power off"
        )
    return BUSES[found.protocol](Port(port, found.baud), {servo.id: servo.model for servo in found.servos}, "")


def _is_robotps(process: int) -> bool:
    """Whether a process is a robotps command; another one's arguments may contain the word, a port's name for one."""
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(word == b"robotps.cli.app" or word.rpartition(b"/")[2] == b"robotps" for word in words)
