"""Ctrl-C, SIGTERM, a terminal that is closed: every connected robot is told to let go before anything else happens.

Python runs signal handlers between two instructions of the main thread, also while it waits for bytes: the packets are
on the wire at once, wherever the program was and whichever thread moves the robot.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

log = logging.getLogger(__name__)

_stops: list[Callable[[str], None]] = []
_before: dict[int, signal.Handlers | Callable[[int, FrameType | None], object] | int | None] = {}
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def watch(stop: Callable[[str], None]) -> None:
    """Have `stop(why)` called on these signals, until `unwatch`. Only the main thread can set this up."""
    _stops.append(stop)
    if _before:
        return
    if threading.current_thread() is not threading.main_thread():
        log.warning("connected in a thread of its own: Ctrl-C stops the robot only when that thread is told")
        return
    for number in _SIGNALS:
        before = signal.getsignal(number)
        if number == signal.SIGHUP and before == signal.SIG_IGN:
            continue  # nohup: meant to go on
        _before[number] = before
        signal.signal(number, _on_signal)


def unwatch(stop: Callable[[str], None]) -> None:
    """No longer; the signals are as they were before the first `watch` when none is left."""
    if stop in _stops:
        _stops.remove(stop)
    if not _stops and threading.current_thread() is threading.main_thread():
        for number, handler in _before.items():
            signal.signal(number, handler)
        _before.clear()


def _on_signal(number: int, frame: FrameType | None) -> None:
    for stop in list(_stops):
        stop(f"stopped by {signal.Signals(number).name}")
    before = _before.get(number)
    if callable(before):
        before(number, frame)
    else:  # also where it was ignored, as in the background of a script: a robot that was stopped stays so
        print(f"stopped by {signal.Signals(number).name}: every servo was told to let go", file=sys.stderr, flush=True)
        sys.exit(128 + number)
