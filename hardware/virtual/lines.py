"""JSON lines over TCP on this machine, served within somebody else's loop."""

from __future__ import annotations

import contextlib
import json
import select
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

LONGEST = 65536
"""Bytes of a line; a client that sends a longer one is dropped."""
PATIENCE = 4_000_000
"""Bytes that may wait for a client that does not read, before it is dropped."""

Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class LineServer:
    """Any number of clients on 127.0.0.1; `answer`: what is sent back for a line that is a JSON object."""

    def __init__(self, answer: Answer | None = None) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._news = select.poll()
        self._news.register(self._listener, select.POLLIN)
        self._received: dict[socket.socket, bytearray] = {}
        self._waiting: dict[socket.socket, bytearray] = {}
        self._greeting = b""

    @property
    def address(self) -> str:
        """HOST:PORT."""
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def filenos(self) -> Sequence[int]:
        return [self._listener.fileno(), *(client.fileno() for client in self._received)]

    def serve(self, ready: Collection[int]) -> None:
        """Take in new clients, answer what has come, send what could not be sent; ready: descriptors with news."""
        if self._listener.fileno() in ready:
            self._accept()
        for client in [client for client in self._received if client.fileno() in ready]:
            self._listen_to(client)
        for client in list(self._waiting):
            self._push(client)

    def broadcast(self, table: Mapping[str, Any]) -> None:
        """Send to everybody who has connected by now; whoever connects later gets the latest one at once."""
        self._accept()
        self._greeting = json.dumps(table).encode() + b"\n"
        for client in list(self._received):
            self._send(client, self._greeting)

    def close(self) -> None:
        for client in list(self._received):
            self._drop(client)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._news.poll(0):
                client, _ = self._listener.accept()
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._received[client] = bytearray()
                self._send(client, self._greeting)

    def _listen_to(self, client: socket.socket) -> None:
        try:
            data = client.recv(LONGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return
        self._received[client] += data
        *lines, rest = self._received[client].split(b"\n")
        self._received[client] = bytearray(rest)
        if len(rest) > LONGEST:
            self._drop(client)
        elif self._answer is not None:
            for line in lines:
                self._send(client, json.dumps(self._reply(bytes(line))).encode() + b"\n")

    def _reply(self, line: bytes) -> Mapping[str, Any]:
        try:
            table = json.loads(line)
        except ValueError:
            table = None
        if not isinstance(table, dict) or self._answer is None:
            return {"done": False, "error": "expected one JSON object a line"}
        return self._answer(table)

    def _send(self, client: socket.socket, data: bytes) -> None:
        if data and client in self._received:
            self._waiting.setdefault(client, bytearray()).extend(data)
            self._push(client)

    def _push(self, client: socket.socket) -> None:
        waiting = self._waiting[client]
        try:
            del waiting[: client.send(waiting)]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        if not waiting:
            del self._waiting[client]
        elif len(waiting) > PATIENCE:
            self._drop(client)

    def _drop(self, client: socket.socket) -> None:
        self._received.pop(client, None)
        self._waiting.pop(client, None)
        client.close()
