"""The host's watchdog, for servos that have none of their own: it lets go when the control loop stands still."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_LOOKS = 6
"""Looks in the time that the loop may stand still."""


class HostWatchdog:
    """Calls `stop(why)` from a thread of its own when `feed` was not called for `seconds`; armed by the first feed."""

    def __init__(self, stop: Callable[[str], None], seconds: float) -> None:
        self._stop = stop
        self._seconds = seconds
        self._fed = float("inf")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watchdog")
        self._thread.start()

    def feed(self) -> None:
        """The control loop is alive."""
        self._fed = time.monotonic()

    def end(self) -> None:
        """Watch no longer. May be called twice."""
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(self._seconds / _LOOKS):
            still = time.monotonic() - self._fed
            if still > self._seconds:
                self._stop(f"the host's watchdog: the control loop stood still for {still:.2f} s")
                return
