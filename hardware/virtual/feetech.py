"""A bus of Feetech STS3215 servos (Feetech, "Communication Protocol User Manual")."""

from __future__ import annotations

from collections.abc import Sequence

from hardware.virtual.feetech_servo import FeetechServo
from hardware.virtual.plant import Plant
from hardware.virtual.server import Reply
from hardware.virtual.servo_bus import ServoBus, mixed, wiring_of

HEADER = b"\xff\xff"
BROADCAST = 0xFE
SAME_BAUD = 0.03
MOST_DATA = 253
"""Bytes that an answer holds, as its length byte counts two more."""
PING, READ, WRITE, REG_WRITE, ACTION, RESET, REBOOT, SYNC_READ, SYNC_WRITE = 1, 2, 3, 4, 5, 6, 8, 0x82, 0x83


def packet(id_: int, code: int, parameters: bytes = b"") -> bytes:
    """A packet with an instruction or, from a servo, an error byte."""
    body = bytes((id_, len(parameters) + 2, code)) + parameters
    return HEADER + body + bytes((~sum(body) & 0xFF,))


class Parser:
    """Finds packets in a stream of bytes; damaged ones are as if they had not been sent."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Id, code and parameters of every packet that is now complete."""
        self._buffer += data
        found = []
        while (parsed := self._next()) is not None:
            found.append(parsed)
        return found

    def _next(self) -> tuple[int, int, bytes] | None:
        buffer = self._buffer
        while True:
            start = buffer.find(HEADER)
            if start < 0:
                del buffer[: max(0, len(buffer) - 1)]
                return None
            del buffer[:start]
            if len(buffer) < 4:
                return None
            id_, length = buffer[2], buffer[3]
            if id_ == 0xFF or length < 2:
                del buffer[:1]
                continue
            end = 4 + length
            if len(buffer) < end:
                return None
            body = bytes(buffer[2:end])
            if ~sum(body[:-1]) & 0xFF == body[-1]:
                del buffer[:end]
                return id_, body[2], body[3:-1]
            del buffer[:1]


class FeetechBus(ServoBus[FeetechServo]):
    """The servos of a robot on one bus."""

    def __init__(self, plant: Plant, *, lockstep: bool = False) -> None:
        wiring, joints = wiring_of(plant)
        servos = [FeetechServo(plant, index, id_, wiring.baud, zero) for index, (id_, zero) in enumerate(joints)]
        super().__init__(plant, servos, lockstep=lockstep)
        plant.listeners.append(self._supervise)
        self._parser = Parser()

    def feed(self, data: bytes, baud: int) -> Sequence[Reply]:
        """Bytes from the host at a baud rate, and the servos' answers in their order on the wire."""
        replies: list[Reply] = []
        for id_, instruction, parameters in self._parser.feed(data):
            asks = instruction in (READ, SYNC_READ)
            if asks and parameters[1:2] > bytes((MOST_DATA,)):
                continue
            self._before(asks)
            hearing = [servo for servo in self.servos if servo.awake and abs(servo.baud / baud - 1) < SAME_BAUD]
            answers: list[Reply] = []
            if instruction == SYNC_READ:
                answers = self._sync_read(hearing, parameters)
            elif instruction == SYNC_WRITE:
                self._sync_write(hearing, parameters)
            else:
                answers = self._single(hearing, id_, instruction, parameters)
            self._after(answers)
            replies += answers
        return replies

    def _supervise(self) -> None:
        for servo in self.servos:
            servo.supervise()

    def _single(self, hearing: Sequence[FeetechServo], id_: int, instruction: int, parameters: bytes) -> list[Reply]:
        answers, goal = [], False
        for servo in hearing:
            if id_ not in (servo.id, BROADCAST):
                continue
            data = b""
            if instruction == READ and len(parameters) == 2:
                data = servo.read(parameters[0], parameters[1])
            elif instruction == WRITE and len(parameters) > 1:
                goal |= servo.write(parameters[0], parameters[1:])
            elif instruction == REG_WRITE and len(parameters) > 1:
                servo.register(parameters[0], parameters[1:])
            elif instruction == ACTION:
                goal |= servo.act()
            elif instruction == RESET:
                servo.factory_reset()
            elif instruction == REBOOT:
                servo.boot()
            elif instruction != PING:
                continue
            if instruction == PING or (
                id_ != BROADCAST and (instruction == READ or (servo.answers_writes and instruction != ACTION))
            ):
                answers.append(self._status(servo, data, id_))
        self._step(goal)
        return answers if id_ == BROADCAST else _together(answers)

    @staticmethod
    def _status(servo: FeetechServo, data: bytes, asked: int = BROADCAST) -> Reply:
        """asked: the id under which the servo was asked, for it may have another one by now."""
        id_ = servo.id if asked == BROADCAST else asked
        return Reply(servo.return_delay, packet(id_, servo.status, data), servo.id)

    def _sync_read(self, hearing: Sequence[FeetechServo], parameters: bytes) -> list[Reply]:
        replies: list[Reply] = []
        if len(parameters) > 2:
            address, length = parameters[:2]
            for id_ in parameters[2:]:
                answers = [self._status(s, s.read(address, length)) for s in hearing if s.id == id_]
                replies += _together(answers)
        return replies

    def _sync_write(self, hearing: Sequence[FeetechServo], parameters: bytes) -> None:
        if len(parameters) < 2:
            return
        by_id: dict[int, list[FeetechServo]] = {}
        for servo in hearing:
            by_id.setdefault(servo.id, []).append(servo)
        address, size, goal = parameters[0], parameters[1] + 1, False
        for at in range(2, len(parameters) - size + 1, size):
            for servo in by_id.get(parameters[at], ()):
                goal |= servo.write(address, parameters[at + 1 : at + size])
        self._step(goal)


def _together(answers: Sequence[Reply]) -> list[Reply]:
    """Servos with the same id answer at once; on the wire a low level wins."""
    if len(answers) <= 1:
        return list(answers)
    heard = mixed([answer.data for answer in answers])
    return [Reply(min(answer.delay for answer in answers), heard, answers[0].sender)]
