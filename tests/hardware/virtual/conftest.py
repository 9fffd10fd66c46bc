from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from hardware.virtual.dynamixel import DynamixelBus
from hardware.virtual.plant import Plant
from hardware.virtual.server import Device, Server
from hardware.virtual.terminal import Terminal
from robotps.description import load_description


class Served:
    """A device on a terminal, served in a process of its own: a client that spins must not keep it from its turn."""

    def __init__(self, device: Device, *, realtime: bool) -> None:
        self.terminal = Terminal("test")
        server = Server(self.terminal, device, realtime=realtime)
        self.process = multiprocessing.get_context("fork").Process(target=server.run, daemon=True)
        self.process.start()

    @property
    def port(self) -> str:
        return self.terminal.port

    def close(self) -> None:
        self.process.terminate()
        self.process.join()
        self.terminal.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Serve a device until the test is over; `realtime=False`: in lockstep."""
    with ExitStack() as stack:

        def start(device: Device, *, realtime: bool) -> Served:
            served = Served(device, realtime=realtime)
            stack.callback(served.close)
            return served

        yield start


@pytest.fixture
def dkitty() -> DynamixelBus:
    """Twelve Dynamixel servos in lockstep, lying on the floor."""
    return DynamixelBus(Plant(load_description("dkitty")), lockstep=True)


@pytest.fixture
def dkitty_port(serve: Callable[..., Served], dkitty: DynamixelBus) -> str:
    return serve(dkitty, realtime=False).port
