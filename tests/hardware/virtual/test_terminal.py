from __future__ import annotations

import os
import select
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest
import serial

from hardware.virtual.server import Reply, Server
from hardware.virtual.terminal import Terminal


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


class Echo:
    """Answers every feed with itself in upper case, twice, after `delay`; time passes as it is told."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.time = 0.0
        self.fed: list[tuple[bytes, int]] = []

    def advance(self, seconds: float) -> None:
        self.time += seconds

    def feed(self, data: bytes, baud: int) -> Sequence[Reply]:
        self.fed.append((data, baud))
        return [Reply(self.delay, data.upper())] * 2

    def settle(self) -> None:
        pass

    def spontaneous(self) -> Sequence[Reply]:
        return ()

    def power_cycle(self) -> None:
        pass


def until(condition: object, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


def test_a_client_finds_a_raw_terminal_without_echo(terminal: Terminal) -> None:
    fd = os.open(terminal.port, os.O_RDWR | os.O_NOCTTY)
    try:
        _, _, _, local, *_ = termios.tcgetattr(fd)
        assert not local & (termios.ECHO | termios.ICANON | termios.ISIG)
        os.write(fd, b"\x03\x04\n\r\xff")
        assert until(lambda: select.select([terminal.master], [], [], 0)[0])
        assert terminal.read() == b"\x03\x04\n\r\xff"
        terminal.write(b"\r\n\x11\x13")
        assert os.read(fd, 16) == b"\r\n\x11\x13"
    finally:
        os.close(fd)


@pytest.mark.parametrize("baud", [57600, 1_000_000, 4_000_000, 123_456])
def test_the_clients_baud_rate_is_known(terminal: Terminal, baud: int) -> None:
    with serial.Serial(terminal.port, baud):
        assert terminal.baud == baud


def test_clients_may_come_and_go(terminal: Terminal) -> None:
    for _ in range(3):
        with serial.Serial(terminal.port, 115200, exclusive=True) as client:
            client.write(b"x")
            assert until(lambda: terminal.read() == b"x")
    assert terminal.read() == b""


def test_a_pulled_cable_fails_the_client_and_comes_back_under_another_name(terminal: Terminal) -> None:
    client = serial.Serial(terminal.port, 115200, timeout=1)
    before = terminal.path
    terminal.unplug()
    for call in (lambda: client.read(1), lambda: client.write(b"x"), lambda: client.in_waiting):
        with pytest.raises((serial.SerialException, OSError, termios.error)):
            call()
    with pytest.raises(serial.SerialException):
        serial.Serial(terminal.port, 115200)
    client.close()
    terminal.plug()
    assert terminal.path != before
    with serial.Serial(terminal.port, 115200) as again:
        again.write(b"y")
        assert until(lambda: terminal.read() == b"y")


def test_a_port_taken_by_another_program_cannot_be_opened_exclusively(terminal: Terminal) -> None:
    with ExitStack() as other:
        assert terminal.take(other)
        with pytest.raises(serial.SerialException):
            serial.Serial(terminal.port, 115200, exclusive=True)
    with serial.Serial(terminal.port, 115200, exclusive=True), ExitStack() as other:
        assert not terminal.take(other)


def test_closing_leaves_nothing_behind(terminal: Terminal) -> None:
    folder = terminal.link.parent
    assert folder.is_dir()
    terminal.close()
    assert not folder.exists()
    terminal.close()


def test_the_server_answers_in_order_and_leaves_time_to_the_device_in_lockstep(terminal: Terminal) -> None:
    device = Echo(delay=100.0)
    server = Server(terminal, device, realtime=False)
    server.start()
    try:
        with serial.Serial(terminal.port, 9600, timeout=20) as client:
            client.write(b"abc")
            assert client.read(6) == b"ABCABC"
        assert device.fed == [(b"abc", 9600)]
        assert device.time == 0.0
    finally:
        server.close()


def test_in_real_time_answers_wait_for_the_wire_and_the_devices_clock_runs(terminal: Terminal) -> None:
    device = Echo(delay=0.05)
    server = Server(terminal, device, realtime=True)
    server.start()
    try:
        with serial.Serial(terminal.port, 1200, timeout=20) as client:
            start = time.monotonic()
            client.write(b"0123456789")
            assert client.read(10) == b"0123456789"
            assert time.monotonic() - start > 20 * 10 / 1200 + 0.05
            assert client.read(10) == b"0123456789"
            assert time.monotonic() - start > 30 * 10 / 1200 + 0.1
        assert device.time + server.slipped > 0.2
    finally:
        server.close()


def test_unplugging_while_served_and_plugging_in_again_goes_on(terminal: Terminal) -> None:
    server = Server(terminal, Echo(), realtime=True)
    server.start()
    try:
        server.do(terminal.unplug)
        time.sleep(0.05)
        server.do(terminal.plug)
        with serial.Serial(terminal.port, 115200, timeout=20) as client:
            client.write(b"a")
            assert client.read(2) == b"AA"
    finally:
        server.close()


def test_what_breaks_the_loop_is_raised_by_stop(terminal: Terminal) -> None:
    class Broken(Echo):
        def feed(self, data: bytes, baud: int) -> Sequence[Reply]:
            raise RuntimeError("broken")

    server = Server(terminal, Broken(), realtime=False)
    server.start()
    with serial.Serial(terminal.port, 115200) as client:
        client.write(b"a")
        assert until(lambda: server._failure is not None)
    with pytest.raises(RuntimeError, match="broken"):
        server.stop()
    server.close()
