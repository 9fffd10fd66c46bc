"""The loop that moves bytes between a terminal and a device, in step with the clock or with the device's own time."""

from __future__ import annotations

import contextlib
import heapq
import os
import queue
import select
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol

from hardware.virtual.terminal import Terminal

BITS_PER_BYTE = 10
"""On the wire: one start bit, eight data bits, one stop bit."""
TICK = 0.002
"""Longest pause of the loop in real time, s: physics lags behind the clock by no more."""
IDLE = 0.05
"""Longest pause of the loop in lockstep, s."""
SLIP = 0.25
"""Physics that has fallen behind by more than this, s, gives up that time instead of catching up."""


class Reply(NamedTuple):
    """Bytes that a device sends `delay` seconds after the bus has fallen silent. sender: the servo's id."""

    delay: float
    data: bytes
    sender: int | None = None


class Device(Protocol):
    """What hangs on the bus."""

    @property
    def time(self) -> float:
        """The device's own time, s."""

    def advance(self, seconds: float) -> None:
        """Let the device's time pass (real time only)."""

    def feed(self, data: bytes, baud: int) -> Sequence[Reply]:
        """Take bytes sent at a baud rate and answer them."""

    def settle(self) -> None:
        """What it has to say is on its way: let the time pass that it has put off until then (lockstep only)."""

    def spontaneous(self) -> Sequence[Reply]:
        """What the device has to say by itself, since it was last asked."""

    def power_cycle(self) -> None:
        """Off and on again."""


class Service(Protocol):
    """Something else that the loop looks after: a socket server."""

    def filenos(self) -> Sequence[int]:
        """File descriptors to wait for."""

    def serve(self, ready: Collection[int]) -> None:
        """Do what can be done without waiting; ready: those of the descriptors that have news."""


class Server:
    """Serves one device on one terminal, in a thread of its own or in the caller's (`run`).

    realtime: answers are held back for the time that they and the question take on the wire, and the device's time
    follows the clock; otherwise answers go out at once and the device keeps its own time.
    """

    def __init__(
        self, terminal: Terminal, device: Device, *, realtime: bool = True, services: Sequence[Service] = ()
    ) -> None:
        self.terminal = terminal
        self.device = device
        self.realtime = realtime
        self.services = services
        self.slipped = 0.0
        self._queue: list[tuple[float, int, bytes]] = []
        self._sent = 0
        self._silent_at = 0.0
        self._lag = 0.0
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._stopped = False
        self._tasks: queue.SimpleQueue[tuple[Callable[[], None], threading.Event]] = queue.SimpleQueue()
        self._wake_read, self._wake_write = os.pipe()

    def do(self, task: Callable[[], None]) -> None:
        """Let the loop do something to the terminal or the device, and wait until it has."""
        if self._thread is None:
            task()
            return
        done = threading.Event()
        self._tasks.put((task, done))
        self._wake()
        while not done.wait(0.1) and self._thread.is_alive():
            pass

    def start(self) -> None:
        """Serve in a thread until `stop`."""
        self._thread = threading.Thread(target=self._run_and_keep_failure, name="virtual robot", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the loop; raises what it ended with, if it failed. May be called from a signal handler, and twice."""
        self._stopped = True
        self._wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            self._thread = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def run(self) -> None:
        """Serve until `stop` is called from elsewhere."""
        self._lag = time.monotonic() - self.device.time
        while not self._stopped:
            ready = self._wait()
            if self.realtime:
                self._keep_up()
            self._listen()
            self._schedule(self.device.spontaneous(), 0.0)
            self._speak()
            self.device.settle()
            for service in self.services:
                service.serve(ready)

    def close(self) -> None:
        self.stop()
        for fd in (self._wake_read, self._wake_write):
            with contextlib.suppress(OSError):
                os.close(fd)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b".")

    def _run_and_keep_failure(self) -> None:
        try:
            self.run()
        except BaseException as error:
            self._failure = error

    def _wait(self) -> Collection[int]:
        watched = [self._wake_read, *(fd for service in self.services for fd in service.filenos())]
        if self.terminal.plugged:
            watched.append(self.terminal.master)
        timeout = TICK if self.realtime else IDLE
        if self._queue:
            timeout = min(timeout, max(0.0, self._queue[0][0] - time.monotonic()))
        ready, _, _ = select.select(watched, [], [], timeout)
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
            while not self._tasks.empty():
                task, done = self._tasks.get()
                task()
                done.set()
        return ready

    def _keep_up(self) -> None:
        behind = time.monotonic() - self._lag - self.device.time
        if behind > SLIP:
            self.slipped += behind
            self._lag += behind
        elif behind > 0:
            self.device.advance(behind)

    def _listen(self) -> None:
        data = self.terminal.read() if self.terminal.plugged else b""
        if data:
            baud = self.terminal.baud
            asking = len(data) * BITS_PER_BYTE / baud if baud else 0.0
            self._schedule(self.device.feed(data, baud), asking, baud)

    def _schedule(self, replies: Sequence[Reply], asking: float, baud: int = 0) -> None:
        if not self.realtime:
            if replies:
                self._queue_at(0.0, b"".join([reply.data for reply in replies]))
            return
        self._silent_at = max(self._silent_at, time.monotonic()) + asking
        for reply in replies:
            on_wire = len(reply.data) * BITS_PER_BYTE / baud if baud else 0.0
            self._silent_at += reply.delay + on_wire
            self._queue_at(self._silent_at, reply.data)

    def _queue_at(self, due: float, data: bytes) -> None:
        heapq.heappush(self._queue, (due, self._sent, data))
        self._sent += 1

    def _speak(self) -> None:
        now = time.monotonic()
        ready = bytearray()
        while self._queue and self._queue[0][0] <= now:
            ready += heapq.heappop(self._queue)[2]
        if ready and self.terminal.plugged:
            self.terminal.write(bytes(ready))
