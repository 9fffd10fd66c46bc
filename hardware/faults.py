"""What goes wrong on a bus: a fault while a trial runs (the trial is repeated), a message to the person otherwise."""

from __future__ import annotations

from robotps.errors import RobotpsError
from robotps.robot import RobotFault


class HardwareFault(RobotFault, RobotpsError):
    """The robot or its bus cannot go on; the message names the joint and servo id, and what to try."""


class LinkLost(HardwareFault):
    """The serial port is gone or takes no more bytes: cable, adapter or power."""
