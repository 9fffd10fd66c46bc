"""A serial port: opened exclusively, raw, as fast as its driver allows; every way it can fail is one LinkLost."""

from __future__ import annotations

import contextlib
import errno
import functools
import grp
import os
import select
import stat
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from hardware.faults import LinkLost
from robotps.errors import RobotpsError, require

BY_ID = Path("/dev/serial/by-id")
WRITE_TIMEOUT = 0.25
"""s; a driver that takes no bytes for so long has lost its device."""

Given = ParamSpec("Given")
Result = TypeVar("Result")


def _guarded(do: Callable[Concatenate[Port, Given], Result]) -> Callable[Concatenate[Port, Given], Result]:
    """Every way in which something done to a port can fail is a LinkLost."""

    @functools.wraps(do)
    def guarded(port: Port, /, *given: Given.args, **named: Given.kwargs) -> Result:
        if not port.is_open:
            raise LinkLost(f"{port.name} is not open")
        try:
            return do(port, *given, **named)
        except (OSError, termios.error, ValueError) as error:
            raise LinkLost(f"{port.name} is lost ({_reason(error)}): is the cable still plugged in?") from None

    return guarded


class Port:
    """One end of a serial line. Raises RobotpsError where it cannot be opened, LinkLost where it fails later.

    A pulled cable shows up as SerialException, OSError or termios.error (which is neither of the two), depending on
    the call; all three become LinkLost here.
    """

    def __init__(self, name: str, baud: int) -> None:
        self.name = stable_name(name)
        self.baud = baud
        self._serial: Any = None
        self._fd = -1

    @property
    def is_open(self) -> bool:
        return self._serial is not None

    def open(self, exclusive: bool = True) -> None:
        """Open, or open again after the link was lost; by-id names find an adapter that came back elsewhere."""
        self.close()
        serial = require("serial", "serial")
        try:
            self._serial = serial.Serial(self.name, self.baud, timeout=0, exclusive=exclusive)
        except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
            raise RobotpsError(_why_not_opened(self.name, error)) from None
        self._fd = self._serial.fileno()
        with contextlib.suppress(OSError, ValueError, AttributeError, NotImplementedError):
            self._serial.set_low_latency_mode(True)  # adapters only; a pseudo-terminal has no such mode

    def close(self) -> None:
        """Let go of the port. May be called twice, and after the link was lost."""
        if self._serial is not None:
            with contextlib.suppress(OSError, termios.error):
                self._serial.close()
        self._serial, self._fd = None, -1

    @_guarded
    def write(self, data: bytes) -> None:
        """Hand all bytes to the driver."""
        deadline = time.monotonic() + WRITE_TIMEOUT
        sent = 0
        while True:
            try:
                sent += os.write(self._fd, data[sent:])
            except BlockingIOError:
                pass
            if sent == len(data):
                return
            _, ready, _ = select.select([], [self._fd], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise LinkLost(f"{self.name} takes no more bytes: is the device hanging?")

    @_guarded
    def read(self, deadline: float) -> bytes:
        """What has arrived, waiting for the first byte until `deadline` (time.monotonic()); empty when none came."""
        if not select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return b""
        data = os.read(self._fd, 65536)
        if not data:
            raise LinkLost(f"{self.name} has hung up: is the cable still plugged in?")
        return data

    @_guarded
    def drop_input(self) -> None:
        """Forget what has arrived: late replies and noise must not be taken for the next answer."""
        if self._serial.in_waiting:  # to flush waits for whoever fills the buffer
            termios.tcflush(self._fd, termios.TCIFLUSH)


def stable_name(port: str) -> str:
    """The /dev/serial/by-id name of a port where it has one: it stays when the adapter comes back under another."""
    if BY_ID.is_dir():
        target = os.path.realpath(port)
        for link in sorted(BY_ID.iterdir()):
            if os.path.realpath(link) == target:
                return str(link)
    return port


def serial_ports() -> list[str]:
    """Names of the serial ports that this computer has (a pseudo-terminal is never among them)."""
    require("serial", "serial")
    from serial.tools import list_ports

    return sorted(port.device for port in list_ports.comports())


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error.args[-1] if error.args else error)


def _why_not_opened(name: str, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number is None and isinstance(error, termios.error):
        number = error.args[0]
    if number == errno.ENOENT:
        here = serial_ports()
        found = (
            f"the ports here are {', '.join(here)}" if here else "no serial port was found: is the adapter plugged in?"
        )
        return f"there is no port {name}: {found}"
    if number in (errno.EACCES, errno.EPERM):
        group = _group_of(name)
        return (
            f"no permission to open {name}: it belongs to group '{group}'; "
            f"run 'sudo usermod -aG {group} $USER', log out and in again"
        )
    if number in (errno.EBUSY, errno.EAGAIN):
        return f"{name} is in use by {_user_of(name)}: close it first"
    if number == errno.ENOTTY or not _is_device(name):
        return f"{name} is not a serial port"
    return f"{name} cannot be opened: {_reason(error)}"


def _is_device(name: str) -> bool:
    try:
        return stat.S_ISCHR(os.stat(name).st_mode)
    except OSError:
        return True  # nothing is known against it


def _group_of(name: str) -> str:
    try:
        group = grp.getgrgid(os.stat(name).st_gid).gr_name
    except (OSError, KeyError):
        return "dialout"
    return group if group != "root" else "dialout"


def holder_of(port: str) -> int | None:
    """The other process that has locked a port for itself, as far as the system tells."""
    try:
        status = os.stat(port)
        locks = Path("/proc/locks").read_text()
    except OSError:
        return None
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in locks.splitlines():
        fields = line.split()
        if "FLOCK" in fields and place in fields:
            process = int(fields[fields.index(place) - 1])
            if process > 0 and process != os.getpid():
                return process
    return None


def _user_of(name: str) -> str:
    holder = holder_of(name)
    if holder is None:
        return "another program"
    try:
        command = Path(f"/proc/{holder}/comm").read_text().strip()
    except OSError:
        command = "another program"
    return f"{command} (process {holder})"
