"""A bus of Dynamixel X-series servos that speaks Protocol 2.0 (ROBOTIS e-manual, "Protocol 2.0")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from hardware.virtual.dynamixel_memory import (
    ACCESS_ERROR,
    CRC_ERROR,
    INSTRUCTION_ERROR,
    LENGTH_ERROR,
    RANGE_ERROR,
    DynamixelError,
    Memory,
)
from hardware.virtual.dynamixel_packet import BROADCAST, HEADER, LONGEST, STATUS, Parser, crc16, packets, statuses
from hardware.virtual.dynamixel_present import Present
from hardware.virtual.dynamixel_servo import OVERLOAD_PART, DynamixelServo
from hardware.virtual.dynamixel_table import DEFAULT_MODEL, MODELS
from hardware.virtual.plant import Plant
from hardware.virtual.server import Reply
from hardware.virtual.servo_bus import ServoBus, mixed, wiring_of

ServosById = dict[int, list[tuple[DynamixelServo, bool]]]
"""Servos that an id means, and whether it is only their secondary id: such an id writes RAM and is not answered."""


class Listeners(NamedTuple):
    """The servos that understand what is sent, also by the ids that they may be meant by."""

    servos: list[DynamixelServo]
    by_id: ServosById


PING, READ, WRITE, REG_WRITE, ACTION, FACTORY_RESET, REBOOT = 1, 2, 3, 4, 5, 6, 8
CLEAR, BACKUP = 0x10, 0x20
SYNC_READ, SYNC_WRITE, FAST_SYNC_READ = 0x82, 0x83, 0x8A
BULK_READ, BULK_WRITE, FAST_BULK_READ = 0x92, 0x93, 0x9A
QUESTIONS = frozenset({READ, SYNC_READ, FAST_SYNC_READ, BULK_READ, FAST_BULK_READ})


class Status(NamedTuple):
    """A servo's answer: s that it waits, the id it answers under, its packet's body, its own id."""

    delay: float
    id: int
    body: bytes
    sender: int


class DynamixelBus(ServoBus[DynamixelServo]):
    """The servos of a robot on one bus."""

    def __init__(self, plant: Plant, *, lockstep: bool = False) -> None:
        wiring, joints = wiring_of(plant)
        model = MODELS.get(plant.description.servo.model, MODELS[DEFAULT_MODEL])
        self._table = np.zeros((len(joints), model.size), dtype=np.uint8)
        self._present = Present(plant, self._table, model)
        servos = [
            DynamixelServo(plant, index, Memory(model, row.data), self._present, id_, wiring.baud, zero)
            for index, ((id_, zero), row) in enumerate(zip(joints, self._table, strict=True))
        ]
        super().__init__(plant, servos, lockstep=lockstep)
        plant.listeners.append(self._supervise)
        self._parser = Parser()
        self._hearing: tuple[Any, Listeners] = None, Listeners([], {})
        self._handlers: dict[int, Callable[[ServosById, bytes], list[Reply]]] = {
            SYNC_READ: self._sync_read,
            SYNC_WRITE: self._sync_write,
            FAST_SYNC_READ: self._fast_sync_read,
            BULK_READ: self._bulk_read,
            BULK_WRITE: self._bulk_write,
            FAST_BULK_READ: self._fast_bulk_read,
        }

    def feed(self, data: bytes, baud: int) -> Sequence[Reply]:
        """Bytes from the host at a baud rate, and the servos' answers in their order on the wire."""
        replies: list[Reply] = []
        for id_, body, right in self._parser.feed(data):
            self._before(body[0] in QUESTIONS)
            answers = self._obey(self._listeners(baud), id_, body[0], body[1:], right)
            self._after(answers)
            replies += answers
        return replies

    def _listeners(self, baud: int) -> Listeners:
        """The servos that understand what is sent now; looked up anew when anything about that has changed."""
        known, listeners = self._hearing
        state = baud, [(servo.silenced, servo.memory.eeprom_writes) for servo in self.servos]
        if state != known:
            now = self.plant.time
            hearing = [servo for servo in self.servos if servo.hears(baud, now)]
            listeners = Listeners(hearing, _by_id(hearing))
            asleep = any(now < servo.awake_at for servo in self.servos)
            self._hearing = None if asleep else state, listeners
        return listeners

    def _supervise(self) -> None:
        motors, now = self.plant.motors, self.plant.time
        volts = round(10 * motors.voltage)
        strained = np.abs(motors.current) >= OVERLOAD_PART * motors.stall_current
        for servo, celsius, hard in zip(self.servos, motors.temperature.tolist(), strained.tolist(), strict=True):
            servo.supervise(now, celsius, volts, hard)

    def _obey(self, listeners: Listeners, id_: int, instruction: int, parameters: bytes, right: bool) -> list[Reply]:
        hearing = listeners.servos
        if instruction == STATUS:
            return []
        if not right:
            return self._replies([[self._status(s, b"", CRC_ERROR) for s in hearing if s.id == id_]])
        self._present.fresh = False
        now = self.plant.time
        for servo in hearing:
            servo.fed_at = now
        if instruction in self._handlers:
            return self._handlers[instruction](listeners.by_id, parameters) if id_ == BROADCAST else []
        if id_ == BROADCAST:
            if instruction == PING:
                pinged = sorted(hearing, key=lambda servo: servo.id)
                return self._replies([[self._status(servo, servo.identity, 0)] for servo in pinged])
            goals = [self._single(servo, instruction, parameters, broadcast=True)[0] for servo in hearing]
            self._step(any(goals))
            return []
        answers, goal = [], False
        for servo in hearing:
            if servo.id == id_:
                level = servo.status_level
                wrote, error, data = self._single(servo, instruction, parameters)
                goal |= wrote
                if instruction == PING or level == 2 or (level == 1 and instruction == READ):
                    answers.append(self._status(servo, data, error, id_))
            elif servo.secondary_id == id_:
                goal |= self._single(servo, instruction, parameters, ram_only=True)[0]
        self._step(goal)
        return self._replies([answers])

    def _single(
        self,
        servo: DynamixelServo,
        instruction: int,
        parameters: bytes,
        *,
        broadcast: bool = False,
        ram_only: bool = False,
    ) -> tuple[bool, int, bytes]:
        """Carry out an instruction to one servo: whether it wrote a goal, the error number, the data to answer."""
        try:
            return self._carry_out(servo, instruction, parameters, broadcast, ram_only)
        except DynamixelError as error:
            return False, error.number, b""

    def _carry_out(
        self, servo: DynamixelServo, instruction: int, parameters: bytes, broadcast: bool, ram_only: bool
    ) -> tuple[bool, int, bytes]:
        if instruction == PING:
            return False, 0, servo.identity
        if instruction == READ:
            address, length = _words(parameters, 4)
            return False, 0, b"" if broadcast else servo.read(address, length)
        if instruction in (WRITE, REG_WRITE):
            (address,) = _words(parameters[:2], 2)
            if instruction == REG_WRITE:
                servo.register(address, parameters[2:])
                return False, 0, b""
            return servo.write(address, parameters[2:], ram_only=ram_only), 0, b""
        if instruction == ACTION:
            return servo.act(), 0, b""
        if instruction == FACTORY_RESET:
            option = parameters[0] if len(parameters) == 1 else 0
            if not (broadcast and option == 0xFF):
                servo.factory_reset(option)
        elif instruction == REBOOT:
            servo.boot()
        elif instruction == CLEAR:
            if parameters != b"\x01DXL\x22":
                raise DynamixelError(RANGE_ERROR)
            servo.clear()
        elif instruction == BACKUP:
            if parameters not in (b"\x01CTRL", b"\x02CTRL"):
                raise DynamixelError(RANGE_ERROR)
            servo.back_up() if parameters[0] == 1 else servo.restore()
        else:
            raise DynamixelError(INSTRUCTION_ERROR)
        return False, 0, b""

    @staticmethod
    def _status(servo: DynamixelServo, data: bytes, error: int, id_: int | None = None) -> Status:
        """id_: that under which the servo was asked, for it may have another one by now."""
        body = bytes((STATUS, error | servo.alert)) + data
        return Status(servo.return_delay, servo.id if id_ is None else id_, body, servo.id)

    @staticmethod
    def _replies(answers: Sequence[Sequence[Status]]) -> list[Reply]:
        """What is heard of answers; servos with the same id answer at once."""
        every = [status for together in answers for status in together]
        if not every:
            return []
        data = iter(packets([(status.id, status.body) for status in every]))
        replies = []
        for together in answers:
            if len(together) == 1:
                replies.append(Reply(together[0].delay, next(data), together[0].sender))
            elif together:
                delay = min(status.delay for status in together)
                replies.append(Reply(delay, mixed([next(data) for _ in together]), together[0].sender))
        return replies

    # --- instructions to several servos

    def _answer(self, by_id: ServosById, id_: int, address: int, length: int) -> list[Status]:
        answers = []
        for servo, secondary in by_id.get(id_, ()):
            if servo.status_level > 0 and not secondary:
                try:
                    answers.append(self._status(servo, servo.read(address, length), 0))
                except DynamixelError as error:
                    answers.append(self._status(servo, b"", error.number))
        return answers

    def _sync_read(self, by_id: ServosById, parameters: bytes) -> list[Reply]:
        if len(parameters) < 5:
            return []
        address, length = _words(parameters[:4], 4)
        ids = parameters[4:]
        alone = self._alone(by_id, ids)
        if alone and length > 0 and alone[0].memory.is_direct(address, length):
            self._present.refresh()
            data = self._table[[servo.index for servo in alone], address : address + length]
            sent = statuses(ids, [servo.alert for servo in alone], data)
            return [Reply(servo.return_delay, packet, servo.id) for servo, packet in zip(alone, sent, strict=True)]
        return self._replies([self._answer(by_id, id_, address, length) for id_ in ids])

    @staticmethod
    def _alone(by_id: ServosById, ids: bytes) -> list[DynamixelServo]:
        """The servos that answer to ids, if each has its own for itself; nobody otherwise."""
        alone = []
        for id_ in ids:
            meant = by_id.get(id_, ())
            if len(meant) != 1 or meant[0][1] or meant[0][0].status_level == 0:
                return []
            alone.append(meant[0][0])
        return alone

    def _bulk_read(self, by_id: ServosById, parameters: bytes) -> list[Reply]:
        requests = [parameters[i : i + 5] for i in range(0, len(parameters) - 4, 5)]
        return self._replies([self._answer(by_id, request[0], *_words(request[1:], 4)) for request in requests])

    def _fast_sync_read(self, by_id: ServosById, parameters: bytes) -> list[Reply]:
        if len(parameters) < 5:
            return []
        address, length = _words(parameters[:4], 4)
        return self._chain(by_id, [(id_, address, length) for id_ in parameters[4:]])

    def _fast_bulk_read(self, by_id: ServosById, parameters: bytes) -> list[Reply]:
        requests = [parameters[i : i + 5] for i in range(0, len(parameters) - 4, 5)]
        asked = [(request[0], *_words(request[1:], 4)) for request in requests]
        return self._chain(by_id, [(id_, address, length) for id_, address, length in asked])

    def _chain(self, by_id: ServosById, asked: Sequence[tuple[int, int, int]]) -> list[Reply]:
        """One status packet that every servo writes its part of, unstuffed; it breaks off where a servo is missing."""
        length = sum(size + 4 for _, _, size in asked) + 1
        if length > LONGEST:
            return []
        stream = bytearray(HEADER + bytes((0, BROADCAST)) + length.to_bytes(2, "little") + bytes((STATUS,)))
        delay = None
        for id_, address, size in asked:
            servo = next((servo for servo, secondary in by_id.get(id_, ()) if not secondary), None)
            if servo is None or servo.status_level == 0:
                break
            delay = servo.return_delay if delay is None else delay
            try:
                data, error = servo.read(address, size), 0
            except DynamixelError as failed:
                data, error = bytes(size), failed.number
            stream += bytes((error | servo.alert, id_)) + data
            stream += crc16(bytes(stream)).to_bytes(2, "little")
        return [] if delay is None else [Reply(delay, bytes(stream))]

    def _sync_write(self, by_id: ServosById, parameters: bytes) -> list[Reply]:
        if len(parameters) >= 4:
            address, length = _words(parameters[:4], 4)
            size = length + 1
            chunks = [parameters[i : i + size] for i in range(4, len(parameters) - size + 1, size)]
            self._write_all(by_id, [(chunk[0], address, chunk[1:]) for chunk in chunks])
        return []

    def _bulk_write(self, by_id: ServosById, parameters: bytes) -> list[Reply]:
        writes, at = [], 0
        while at + 5 <= len(parameters):
            address, length = _words(parameters[at + 1 : at + 5], 4)
            data = parameters[at + 5 : at + 5 + length]
            if len(data) < length:
                break
            writes.append((parameters[at], address, data))
            at += 5 + length
        self._write_all(by_id, writes)
        return []

    def _write_all(self, by_id: ServosById, writes: Sequence[tuple[int, int, bytes]]) -> None:
        goal = False
        for id_, address, data in writes:
            for servo, secondary in by_id.get(id_, ()):
                try:
                    goal |= servo.write(address, data, ram_only=secondary)
                except DynamixelError:  # what a servo refuses is lost in silence
                    continue
        self._step(goal)


def _by_id(servos: Sequence[DynamixelServo]) -> ServosById:
    by_id: ServosById = {}
    for servo in servos:
        id_, second = servo.id, servo.secondary_id
        by_id.setdefault(id_, []).append((servo, False))
        if second is not None and second != id_:
            by_id.setdefault(second, []).append((servo, True))
    return by_id


def _words(parameters: bytes, length: int) -> tuple[int, ...]:
    """Little-endian 16-bit words of parameters that must have this many bytes."""
    if len(parameters) != length:
        raise DynamixelError(LENGTH_ERROR if len(parameters) < length else ACCESS_ERROR)
    return tuple(int.from_bytes(parameters[i : i + 2], "little") for i in range(0, length, 2))
