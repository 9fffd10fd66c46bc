"""A pseudo-terminal with a scripted device behind it: what it answers to each burst of bytes is a plain function."""

from __future__ import annotations

import contextlib
import os
import select
import struct
import sys
import threading
import tty
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for fleets.py

Answer = Callable[[bytes], bytes]


class Device:
    """Answers on the master side in a thread; `heard` is everything that the host sent."""

    def __init__(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.name = os.ttyname(self._slave)
        self.heard = bytearray()
        self.answer: Answer = lambda request: b""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError, ValueError):
                ready, _, _ = select.select([self.master], [], [], 0.02)
                if ready:
                    request = os.read(self.master, 65536)
                    self.heard += request
                    reply = self.answer(request)
                    if reply:
                        os.write(self.master, reply)

    def say(self, data: bytes) -> None:
        os.write(self.master, data)

    def unplug(self) -> None:
        """A pulled cable: the master end is closed."""
        self._stop.set()
        self._thread.join()
        for end in (self.master, self._slave):
            with contextlib.suppress(OSError):
                os.close(end)


@pytest.fixture(autouse=True)
def patient_sdks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makers' kits wait by the wall clock, 34 ms: less than a busy machine may take to run the device at all."""
    for kit in ("dynamixel_sdk", "scservo_sdk"):
        monkeypatch.setattr(f"{kit}.port_handler.LATENCY_TIMER", 300)


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device()
    yield device
    device.unplug()


class Servos:
    """Servos with a memory each behind a device; `tamper` may change, drop or reorder what they answer.

    Speaks whichever codec it is given; the codecs themselves are tested against the vendors'.
    """

    def __init__(self, device: Device, codec: ModuleType, ids: Sequence[int], ping: Callable[[int], bytes]) -> None:
        self.memory = {id_: bytearray(256) for id_ in ids}
        self.error = dict.fromkeys(ids, 0)
        self.tamper: Callable[[list[bytes]], list[bytes]] = lambda packets: packets
        self.writes: list[tuple[int, int, bytes]] = []
        self.on_write: Callable[[int, int], None] = lambda servo, address: None
        self._codec, self._ping, self._buffer = codec, ping, bytearray()
        self._wide = codec.__name__.endswith("protocol2")
        device.answer = self._answer

    def _answer(self, data: bytes) -> bytes:
        self._buffer += data
        packets = []
        for id_, instruction, parameters in self._codec.decode(self._buffer):
            packets += self._do(id_, instruction, parameters)
        return b"".join(self.tamper(packets))

    def _status(self, id_: int, data: bytes = b"") -> bytes:
        if self._wide:
            return self._codec.encode(id_, 0x55, bytes([self.error[id_]]) + data)
        return self._codec.encode(id_, self.error[id_], data)

    def _do(self, id_: int, instruction: int, parameters: bytes) -> list[bytes]:
        codec, step = self._codec, 2 if self._wide else 1
        address = int.from_bytes(parameters[:step], "little")
        rest = parameters[step:]
        every = list(self.memory) if id_ == codec.BROADCAST else [id_] if id_ in self.memory else []
        if instruction == codec.PING:
            return [self._status(servo, self._ping(servo)) for servo in every]
        if instruction == codec.READ:
            size = int.from_bytes(rest[:step], "little")
            return [self._status(servo, bytes(self.memory[servo][address : address + size])) for servo in every]
        if instruction == codec.WRITE:
            for servo in every:
                self._write(servo, address, rest)
            return [] if id_ == codec.BROADCAST else [self._status(servo) for servo in every]
        if instruction == codec.SYNC_READ:
            size = int.from_bytes(rest[:step], "little")
            asked = [servo for servo in rest[step:] if servo in self.memory]
            return [self._status(servo, bytes(self.memory[servo][address : address + size])) for servo in asked]
        if instruction == codec.SYNC_WRITE:
            size = int.from_bytes(rest[:step], "little")
            for start in range(step, len(rest), size + 1):
                if rest[start] in self.memory:
                    self._write(rest[start], address, rest[start + 1 : start + 1 + size])
        return []

    def _write(self, servo: int, address: int, data: bytes) -> None:
        self.writes.append((servo, address, data))
        self.memory[servo][address : address + len(data)] = data
        self.on_write(servo, address)


@pytest.fixture
def servos(device: Device) -> Callable[..., Servos]:
    return partial(Servos, device)


@pytest.fixture
def dkitty(servos: Callable[..., Servos]) -> Servos:
    """Twelve XM430-W210 that follow their goals at once; a control period passes with every goal, as in lockstep."""
    from hardware import protocol2

    ids = [10 * leg + joint for leg in (1, 2, 3, 4) for joint in (0, 1, 2)]
    fake = servos(protocol2, ids, lambda id_: bytes([0x06, 0x04, 46]))
    for memory in fake.memory.values():
        memory[68] = 2
        struct.pack_into("<HH", memory, 36, 885, 1193)
        struct.pack_into("<i", memory, 132, 2048)
        struct.pack_into("<HB", memory, 144, 121, 33)

    def follow(servo: int, address: int) -> None:
        memory = fake.memory[servo]
        if address == 116 and memory[64]:
            memory[132:136] = memory[116:120]
            tick = struct.unpack_from("<H", memory, 120)[0]
            struct.pack_into("<H", memory, 120, (tick + 10) % 32768)

    fake.on_write = follow
    return fake
