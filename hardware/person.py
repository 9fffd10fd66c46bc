"""Whoever helps the robot: at the terminal, at the other end of a socket, or nobody."""

from __future__ import annotations

import json
import queue
import socket
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, Literal, Protocol, TextIO

from robotps.errors import RobotpsError

Request = Literal[
    "place_at_start",
    "on_feet",
    "on_stand",
    "change_battery",
    "plug_cable",
    "stopwatch",
    "confirm",
    "pause",
    "save_video",
]


class Person(Protocol):
    """Does what is asked, and says so."""

    def ask(self, what: Request, message: str, **details: Any) -> Mapping[str, Any]:
        """Ask for something and wait until it is done; the answer has `text` (typed) or other keys of its own."""

    def presses(self, since: float) -> list[float]:
        """When the person pressed Enter after `since`, time.monotonic(); without waiting."""

    def tell(self, message: str) -> None:
        """Something to know, not to do."""


class Nobody:
    """`--yes`: everything counts as done."""

    def ask(self, what: Request, message: str, **details: Any) -> Mapping[str, Any]:
        """Done at once; raises RobotpsError for what only a person can answer."""
        if what in ("stopwatch", "confirm", "pause", "save_video"):
            raise RobotpsError(f"somebody must answer this, leave out --yes: {message}")
        return {"done": True}

    def presses(self, since: float) -> list[float]:
        return []

    def tell(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)


class Terminal(Nobody):
    """Messages on stderr, answers from stdin; Enter is noticed at any time, also while the robot moves."""

    def __init__(self, source: TextIO | None = None) -> None:
        self._source = source or sys.stdin
        self._lines: queue.SimpleQueue[tuple[float, str | None]] = queue.SimpleQueue()
        self._presses: list[float] = []
        self._closed = False
        self._reader: threading.Thread | None = None

    def ask(self, what: Request, message: str, **details: Any) -> Mapping[str, Any]:
        """Wait for a line; raises RobotpsError where nobody can type."""
        self._listen()
        while not self._lines.empty():
            self._take()  # typed before the question
        end = "" if message.endswith("? ") else "  [Enter] "
        print(message + end, end="", file=sys.stderr, flush=True)
        line = None if self._closed else self._take()[1]
        if line is None:
            raise RobotpsError("nobody can answer here (stdin is closed): give --yes or --assistant HOST:PORT")
        return {"done": True, "text": line.strip()}

    def presses(self, since: float) -> list[float]:
        """See Person."""
        self._listen()
        while not self._lines.empty():
            moment, line = self._take()
            if line is not None:
                self._presses.append(moment)
        return [moment for moment in self._presses if moment > since]

    def _take(self) -> tuple[float, str | None]:
        """The next line, None for the end of stdin, which comes only once."""
        moment, line = self._lines.get()
        self._closed = self._closed or line is None
        return moment, line

    def _listen(self) -> None:
        if self._reader is None:
            self._reader = threading.Thread(target=self._read, daemon=True, name="terminal")
            self._reader.start()

    def _read(self) -> None:
        try:
            for line in self._source or ():
                self._lines.put((time.monotonic(), line))
        except (OSError, ValueError):  # the terminal is gone, or sends what is no text
            pass
        finally:
            self._lines.put((time.monotonic(), None))


class Assistant(Nobody):
    """`--assistant HOST:PORT`: one JSON object a line there and back, `{"ask", "message"}` and `{"done": true}`."""

    def __init__(self, address: str, timeout: float = 600.0) -> None:
        self.address = address
        self._timeout = timeout
        self._stream: Any = None

    def ask(self, what: Request, message: str, **details: Any) -> Mapping[str, Any]:
        """See Person; raises RobotpsError where the assistant is gone or did not do it."""
        request = {"ask": what, "message": message, **details}
        try:
            stream = self._connected()
            stream.write(json.dumps(request) + "\n")
            stream.flush()
            line = stream.readline()
            answer = json.loads(line) if line else None
        except (OSError, ValueError) as error:
            self._stream = None
            raise RobotpsError(f"the assistant at {self.address} does not answer: {error}") from None
        if not isinstance(answer, dict) or answer.get("done") is not True:
            raise RobotpsError(f"the assistant at {self.address} did not do '{what}': {answer}")
        return answer

    def _connected(self) -> Any:
        if self._stream is None:
            connection = socket.create_connection(host_and_port(self.address, "--assistant"), timeout=self._timeout)
            self._stream = connection.makefile("rw", encoding="utf-8", newline="\n")
        return self._stream


def host_and_port(address: str, flag: str) -> tuple[str, int]:
    """HOST:PORT taken apart; raises RobotpsError naming the flag."""
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise RobotpsError(f"{flag}: expected HOST:PORT, got '{address}'")
    return host, int(port)


def find_person(yes: bool = False, assistant: str | None = None) -> Person:
    """Whoever the flags say; raises RobotpsError for both at once."""
    if yes and assistant:
        raise RobotpsError("--yes asks nobody, --assistant asks somebody: give one of them")
    if assistant:
        host_and_port(assistant, "--assistant")
        return Assistant(assistant)
    return Nobody() if yes else Terminal()
