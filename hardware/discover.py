"""What answers on a serial port, at which baud rate and in which protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hardware.bus import Bus, ServoInfo
from hardware.dynamixel import DynamixelBus
from hardware.faults import HardwareFault, LinkLost
from hardware.feetech import FeetechBus
from hardware.opencat import OpenCatBus
from hardware.port import Port

GUESSES: tuple[tuple[str, type[Bus], tuple[int, ...]], ...] = (
    ("opencat", OpenCatBus, (115_200,)),
    ("dynamixel", DynamixelBus, (1_000_000, 57_600, 2_000_000, 4_000_000, 115_200)),
    ("feetech", FeetechBus, (1_000_000, 500_000, 115_200)),
)
"""The usual rates of each protocol. A board must not be sent packets first: it would take them for commands; Feetech
comes last: its servos are asked one by one."""


@dataclass(frozen=True)
class Found:
    """What answers on a port; protocol None: nothing that is understood."""

    port: str
    protocol: str | None = None
    baud: int | None = None
    servos: Sequence[ServoInfo] = ()


def look(port: str, tell: Callable[[str], None] = lambda message: None) -> Found:
    """Try every protocol at its usual baud rates; raises RobotpsError where the port cannot be opened."""
    for protocol, kind, bauds in GUESSES:
        for baud in bauds:
            tell(f"{port}: {protocol} at {baud} baud?")
            servos = _ask(kind, port, baud)
            if servos:
                return Found(port, protocol, baud, servos)
    return Found(port)


def _ask(kind: type[Bus], port: str, baud: int) -> Sequence[ServoInfo]:
    bus = kind(Port(port, baud), {}, "")
    bus.port.open()
    try:
        return bus.scan()
    except LinkLost:
        raise
    except HardwareFault:
        return ()
    finally:
        bus.port.close()
