"""When a control cycle begins, and how well that went: on the wall clock, or on the device's own."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from hardware.bus import Reading
from hardware.faults import HardwareFault

LATE = 0.1
"""A cycle is late when it begins by more than this share of the period after its deadline."""
STANDSTILL = 500
"""Answers without any tick of the device's clock."""
_PRIORITY = 20

log = logging.getLogger(__name__)

Pace = Literal["wall", "device"]


@dataclass
class LoopTiming:
    """What a motion's control loop was like. rate: cycles a second. worst_late: s. scheduler: fifo, or other.

    late_starts, bad_cycles (an answer missing): of `cycles`. missing: answers missed, by joint. cpu: share of a core.
    """

    cycles: int = 0
    seconds: float = 0.0
    late_starts: int = 0
    worst_late: float = 0.0
    bad_cycles: int = 0
    cpu: float = 0.0
    scheduler: str = "other"
    missing: dict[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.cycles / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        lost = "".join(f", {count} lost from {joint}" for joint, count in self.missing.items())
        late = f"{self.late_starts} late (worst {self.worst_late * 1000:.1f} ms)"
        load = f"{100 * self.cpu:.0f} % of a core" + (", real-time priority" if self.scheduler == "fifo" else "")
        return f"{self.cycles} cycles at {self.rate:.0f} Hz, {late}, {self.bad_cycles} bad{lost}, {load}"


class Clock(Protocol):
    """The time of one motion, s since its beginning. late: s that the latest cycle missed its deadline by, if any."""

    late: float | None

    def begin(self) -> None:
        """The motion begins."""

    def start_cycle(self) -> float:
        """Wait until the next cycle is due; the time at which it really starts."""

    def stamp(self, reading: Reading) -> float:
        """The time of a reading."""


class WallClock:
    """Absolute deadlines: a cycle that took long is not followed by a shift of all others."""

    def __init__(self, period: float, timing: LoopTiming) -> None:
        self._period = period
        self._timing = timing
        self._zero = self._deadline = 0.0
        self.late: float | None = None

    def begin(self) -> None:
        self._zero = self._deadline = time.monotonic()

    def start_cycle(self) -> float:
        now = time.monotonic()
        if now < self._deadline:
            time.sleep(self._deadline - now)
            now = time.monotonic()
        self.late = late = now - self._deadline
        if late > LATE * self._period:
            self._timing.late_starts += 1
            self._timing.worst_late = max(self._timing.worst_late, late)
        # deadlines that have passed altogether are left out, not made up for
        self._deadline += self._period * (1 + int(late / self._period))
        return now - self._zero

    def stamp(self, reading: Reading) -> float:
        return time.monotonic() - self._zero


class DeviceClock:
    """A step as soon as the device has answered; time is the servos' tick, or a period a cycle where they have none.

    lag: s of its own time that a device takes to answer. Servos answer as soon as a cycle's targets reach them, which
    is at the cycle's start.
    """

    late: float | None = None

    def __init__(self, period: float, tick_period: float | None, lag: float = 0.0) -> None:
        self._period = period
        self._tick_period = tick_period
        self._lag = lag
        self._tick: float | None = None
        self._time = self._guessed = 0.0
        self._still = 0

    def begin(self) -> None:
        self._time, self._guessed, self._tick = -self._period, 0.0, None

    def start_cycle(self) -> float:
        return self._time + self._period

    def stamp(self, reading: Reading) -> float:
        tick = self._first(reading)
        if tick is None or self._tick is None or self._tick_period is None:
            self._time += self._period
            self._guessed += self._period
        else:
            passed = (tick - self._tick) % self._tick_period
            self._still = 0 if passed > 0 else self._still + 1
            if self._still > STANDSTILL:
                raise HardwareFault("the device answers, but its clock stands still: use --pace wall")
            self._time += passed - self._guessed  # of what has passed, missed answers counted a part already
        if tick is not None:
            self._tick, self._guessed = tick, 0.0
        return self._time + self._lag

    @staticmethod
    def _first(reading: Reading) -> float | None:
        """The clock of the first servo; each has its own, so only ever the same one's."""
        if reading.tick is None or np.isnan(reading.tick[0]):
            return None
        return float(reading.tick[0])


@contextlib.contextmanager
def measured(timing: LoopTiming, realtime: bool) -> Iterator[None]:
    """Fill in a loop's duration and processor share; with `realtime` it goes before all other programs, if it may."""
    policy = os.sched_getscheduler(0)
    if realtime:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
            timing.scheduler = "fifo"
        except OSError as error:
            log.info("no real-time priority (%s): expect a few late cycles under load", error.strerror)
    began, used = time.monotonic(), time.thread_time()
    try:
        yield
    finally:
        timing.seconds = time.monotonic() - began
        timing.cpu = (time.thread_time() - used) / max(timing.seconds, 1e-9)
        if timing.scheduler == "fifo":
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, policy, os.sched_param(0))
