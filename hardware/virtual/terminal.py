"""The device's end of a serial cable: a pseudo-terminal that a client opens like any USB adapter."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import tempfile
import tty
from pathlib import Path

TCGETS2 = 0x802C542A
"""ioctl that reads a terminal's settings with the baud rate as a number (asm-generic/ioctls.h)."""
TERMIOS2 = struct.Struct("4IB19s2I")
"""struct termios2 (asm-generic/termbits.h): four flag words, line discipline, 19 characters, two speeds."""


class Terminal:
    """A raw pseudo-terminal with a link to it that keeps its name when the cable is pulled and plugged in again.

    The slave end is kept open, or the master's reads would fail whenever no client has the port open.
    """

    def __init__(self, name: str = "robot") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="robotps-virtual-")
        self.link = Path(self._folder.name) / f"usb-robotps_virtual_{name}-if00-port0"
        self._master: int | None = None
        self._slave: int | None = None
        self._path = ""
        self.plug()

    @property
    def port(self) -> str:
        """What to hand to a client."""
        return str(self.link)

    @property
    def path(self) -> str:
        """The terminal behind the link."""
        return self._path

    @property
    def plugged(self) -> bool:
        return self._master is not None

    @property
    def master(self) -> int:
        """File descriptor of our end; raises ValueError while unplugged."""
        if self._master is None:
            raise ValueError("the cable is unplugged")
        return self._master

    @property
    def baud(self) -> int:
        """The rate that the client has set, bit/s."""
        settings = fcntl.ioctl(self.master, TCGETS2, bytes(TERMIOS2.size))
        return int(TERMIOS2.unpack(settings)[-1])

    def plug(self) -> None:
        """Plug the cable in; the terminal gets another name than it had before. Without effect while it is in."""
        if self.plugged:
            return
        master, slave = os.openpty()
        if os.ttyname(slave) == self._path:
            taken = (master, slave)
            master, slave = os.openpty()
            for fd in taken:
                os.close(fd)
        tty.setraw(slave)  # before the path is known to anyone: an echo would come back as an answer
        os.set_blocking(master, False)
        self._master, self._slave, self._path = master, slave, os.ttyname(slave)
        new = self.link.with_suffix(".new")
        new.symlink_to(self._path)
        new.replace(self.link)

    def unplug(self) -> None:
        """Pull the cable: the client's next call fails as it does for a pulled USB adapter."""
        for fd in (self._master, self._slave):
            if fd is not None:
                os.close(fd)
        self._master = self._slave = None
        self.link.unlink(missing_ok=True)

    def read(self) -> bytes:
        """What has arrived; empty when nothing has."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self.master, 65536)
        return b""

    def write(self, data: bytes) -> None:
        """Send; what a client leaves unread for too long is lost, as in an adapter's buffer."""
        with contextlib.suppress(BlockingIOError):
            os.write(self.master, data)

    def take(self, until: contextlib.ExitStack) -> bool:
        """Let another program open the port for itself alone until the stack is closed; False if a client was first."""
        slave = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
        try:
            fcntl.flock(slave, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(slave)
            return False
        until.callback(os.close, slave)
        return True

    def close(self) -> None:
        self.unplug()
        self._folder.cleanup()
