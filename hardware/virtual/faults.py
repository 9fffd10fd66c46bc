"""Faults that a bus really has, made on purpose: the `--faults` file, and the device that suffers from them.

A file is a `seed` and any number of `[[fault]]` tables: `kind`, `probability` or `at_s`, and where it makes sense
`servos` (ids or joint names; default: all) and `duration_s`.

| kind | what happens | probability: of | duration_s (default) |
|---|---|---|---|
| `dropped_status` | an answer is lost | an answer | |
| `flipped_crc` | a bit of an answer's checksum is flipped | an answer | |
| `lost_byte` | a byte of an answer is lost | an answer | |
| `garbage` | noise comes before an answer | an answer | |
| `wrong_id` | an answer bears another servo's id, correctly | an answer | |
| `late_reply` | an answer is late; in lockstep it comes with the next one | an answer | how late (0.05) |
| `half_duplex_echo` | the host hears itself before the answers | a second | for how long (for good) |
| `silent_servo` | a servo no longer answers, nor obeys | a second | for how long (for good) |
| `alert` | a servo has an error that does not switch it off | a second | |
| `overheating` | a servo is too hot | a second | |
| `overload` | a servo takes its load for too much | a second | |
| `brownout` | a servo restarts by itself | a second | |
| `watchdog_trip` | a servo's bus watchdog trips (Dynamixel) | a second | |
| `unplugged_cable` | the cable is pulled; it comes back under another name | a second | for how long (until asked) |
| `device_hang` | nothing is answered or obeyed any more | a second | for how long (for good) |
| `port_taken` | another program has the port, if it can get it | a second | for how long (for good) |

`at_s` is a moment of the robot's own time; of answers, the first one from then on is hit. What happens to the line
lasts by the clock, because in lockstep no time would pass until it is over.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import Field, model_validator

from hardware.virtual import dynamixel_packet, feetech
from hardware.virtual.dynamixel import DynamixelBus
from hardware.virtual.dynamixel_servo import ENCODER_BIT, OVERLOAD_BIT, DynamixelServo
from hardware.virtual.feetech import FeetechBus
from hardware.virtual.feetech_servo import SENSOR_BIT, FeetechServo
from hardware.virtual.opencat import OpenCatBoard
from hardware.virtual.server import Reply
from hardware.virtual.terminal import Terminal
from robotps.errors import RobotpsError
from robotps.files import FileModel

OfAnswers = Literal["dropped_status", "flipped_crc", "lost_byte", "garbage", "wrong_id", "late_reply"]
OfServos = Literal["silent_servo", "alert", "overheating", "overload", "brownout", "watchdog_trip"]
OfTheLine = Literal["half_duplex_echo", "unplugged_cable", "device_hang", "port_taken"]
Bus = DynamixelBus | FeetechBus | OpenCatBoard

LATE = 0.05
"""s."""
HEAT = 10.0
"""K above a servo's limit."""
NOT_FOR_A_BOARD = ("wrong_id", "silent_servo", "alert", "overheating", "overload", "watchdog_trip")
NOT_FOR_FEETECH = ("watchdog_trip",)


class Fault(FileModel):
    """One kind of fault; see the module's table."""

    kind: OfAnswers | OfServos | OfTheLine
    servos: tuple[int | str, ...] | None = None
    probability: Annotated[float, Field(gt=0, le=1)] | None = None
    at_s: Annotated[float, Field(ge=0)] | None = None
    duration_s: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Fault:
        if (self.probability is None) == (self.at_s is None):
            raise ValueError("give either probability or at_s")
        return self


class Faults(FileModel):
    """What goes wrong, and the seed that decides when."""

    seed: Annotated[int, Field(ge=0)] = 0
    fault: tuple[Fault, ...] = ()


class FaultyDevice:
    """A bus on which faults happen. `happened`: time, kind and servo id (None for all) of every one so far."""

    def __init__(self, bus: Bus, terminal: Terminal, faults: Faults, lockstep: bool) -> None:
        self.bus = bus
        self.terminal = terminal
        self.lockstep = lockstep
        self.happened: list[tuple[float, str, int | None]] = []
        self._seed = faults.seed
        self._sources: list[_Source] = []
        self._hung_until = self._echo_until = -math.inf
        self._silent_until: dict[int, float] = {}
        self._plug_at = self._give_back_at = math.inf
        self._taken = ExitStack()
        self._held: list[Reply] = []
        for fault in faults.fault:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """One more fault; raises RobotpsError for what this bus does not have."""
        if not self._sources and self._strike not in self.bus.plant.listeners:
            self.bus.plant.listeners.append(self._strike)
        self._sources.append(_Source(fault, self._seed, len(self._sources), self._ids(fault)))

    def mend(self) -> None:
        """No more faults, and what lasts of them is over; a pulled cable stays pulled, a hurt servo hurt."""
        self._sources = []
        self._hung_until = self._echo_until = -math.inf
        self._silent_until, self._held = {}, []
        self._give_back_at = math.inf
        self._taken.close()
        for servo in self._servos():
            servo.silenced = False

    @property
    def time(self) -> float:
        return self.bus.time

    def advance(self, seconds: float) -> None:
        self.bus.advance(seconds)

    def settle(self) -> None:
        self.bus.settle()

    def power_cycle(self) -> None:
        self.bus.power_cycle()

    def spontaneous(self) -> Sequence[Reply]:
        """As the bus does, but for the faults. By the clock: pulled cables come back, taken ports are given back."""
        now = time.monotonic()
        if now >= self._plug_at:
            self._plug_at = math.inf
            self.terminal.plug()
        if now >= self._give_back_at:
            self._give_back_at = math.inf
            self._taken.close()
        return self._spoil(self.bus.spontaneous())

    def feed(self, data: bytes, baud: int) -> Sequence[Reply]:
        """As the bus does, but for the faults."""
        if time.monotonic() < self._hung_until:
            return []
        echo = [Reply(0.0, data)] if time.monotonic() < self._echo_until else []
        held, self._held = self._held, []
        return [*held, *echo, *self._spoil(self.bus.feed(data, baud))]

    # --- of answers

    def _spoil(self, replies: Sequence[Reply]) -> list[Reply]:
        if time.monotonic() < self._hung_until:
            return []
        spoiled = []
        for reply in replies:
            kept: Reply | None = reply
            for source in self._sources:
                if kept is not None and source.hits_answer(self.time, reply.sender):
                    self._happen(source, reply.sender)
                    kept = self._spoiled(source, kept)
            if kept is not None:
                spoiled.append(kept)
        return spoiled

    def _spoiled(self, source: _Source, reply: Reply) -> Reply | None:
        kind, draw, data = source.fault.kind, source.draw, bytearray(reply.data)
        if kind == "dropped_status":
            return None
        if kind == "late_reply":
            if self.lockstep:
                self._held.append(reply)
                return None
            return reply._replace(delay=reply.delay + (source.fault.duration_s or LATE))
        if kind == "flipped_crc":
            data[-1] ^= 1 << int(draw.integers(8))
        elif kind == "lost_byte":
            del data[int(draw.integers(len(data)))]
        elif kind == "garbage":
            data[:0] = draw.bytes(int(draw.integers(1, 12)))
        else:
            return reply._replace(data=self._from_another(reply, draw))
        return reply._replace(data=bytes(data))

    def _from_another(self, reply: Reply, draw: np.random.Generator) -> bytes:
        """The same answer, checksum and all, under another servo's id."""
        id_ = int(draw.choice([servo.id for servo in self._servos() if servo.id != reply.sender]))
        if isinstance(self.bus, DynamixelBus):
            ((_, body, _),) = dynamixel_packet.Parser().feed(reply.data)
            return dynamixel_packet.packet(id_, body)
        ((_, code, parameters),) = feetech.Parser().feed(reply.data)
        return feetech.packet(id_, code, parameters)

    # --- of servos and of the line

    def _strike(self) -> None:
        """Once a control period: what happens by itself."""
        for source in self._sources:
            for id_ in source.strikes(self.time, self.bus.plant.period):
                self._happen(source, id_)
                self._do(source.fault, id_)
        for servo in self._servos():
            servo.silenced = self.time < self._silent_until.get(servo.index, -math.inf)

    def _do(self, fault: Fault, id_: int | None) -> None:
        lasts = math.inf if fault.duration_s is None else fault.duration_s
        over = time.monotonic() + lasts  # for in lockstep no time would pass until then
        if fault.kind == "unplugged_cable":
            self.terminal.unplug()
            self._plug_at = over
        elif fault.kind == "device_hang":
            self._hung_until = over
        elif fault.kind == "half_duplex_echo":
            self._echo_until = over
        elif fault.kind == "port_taken":
            if self.terminal.plugged and self.terminal.take(self._taken):
                self._give_back_at = over
        elif isinstance(self.bus, OpenCatBoard):
            self.bus.power_cycle()
        else:
            for servo in self._servos():
                if id_ is None or servo.id == id_:
                    self._hit(servo, fault.kind, self.time + lasts)

    def _hit(self, servo: DynamixelServo | FeetechServo, kind: str, until: float) -> None:
        if kind == "silent_servo":
            self._silent_until[servo.index] = until
        elif kind == "alert":
            servo.fail(ENCODER_BIT if isinstance(servo, DynamixelServo) else SENSOR_BIT)
        elif kind == "overheating":
            self.bus.plant.motors.temperature[servo.index] = servo.value["temperature_limit"] + HEAT
        elif kind == "overload":
            servo.fail(OVERLOAD_BIT)
        elif kind == "brownout":
            servo.boot()
        elif isinstance(servo, DynamixelServo):
            servo.trip_watchdog()

    # --- helpers

    def _happen(self, source: _Source, id_: int | None) -> None:
        self.happened.append((self.time, source.fault.kind, id_))

    def _servos(self) -> Sequence[DynamixelServo | FeetechServo]:
        return () if isinstance(self.bus, OpenCatBoard) else self.bus.servos

    def _ids(self, fault: Fault) -> list[int] | None:
        """The ids that a fault is about, None for all; raises RobotpsError for what this bus does not have."""
        if (isinstance(self.bus, OpenCatBoard) and fault.kind in NOT_FOR_A_BOARD) or (
            isinstance(self.bus, FeetechBus) and fault.kind in NOT_FOR_FEETECH
        ):
            raise RobotpsError(f"faults: '{fault.kind}' cannot happen on this bus")
        if fault.servos is None:
            return None
        if fault.kind in get_args(OfTheLine) or isinstance(self.bus, OpenCatBoard):
            raise RobotpsError(f"faults: '{fault.kind}' is of the whole line, not of single servos")
        ids: dict[int | str, int] = {servo.id: servo.id for servo in self._servos()}
        for name, servo in zip(self.bus.plant.description.joint_names, self._servos(), strict=True):
            ids[name] = servo.id
        for wanted in fault.servos:
            if wanted not in ids:
                raise RobotpsError(f"faults: '{fault.kind}': there is no servo {wanted!r}: known are {list(ids)}")
        return [ids[wanted] for wanted in fault.servos]


class _Source:
    """One fault's own dice."""

    def __init__(self, fault: Fault, seed: int, number: int, ids: list[int] | None) -> None:
        self.fault = fault
        self.ids = ids
        self.draw = np.random.default_rng((seed, number))
        self._done = False

    def hits_answer(self, now: float, sender: int | None) -> bool:
        if self.fault.kind not in get_args(OfAnswers) or not (self.ids is None or sender in self.ids):
            return False
        if self.fault.probability is not None:
            return bool(self.draw.random() < self.fault.probability)
        return self._once(now)

    def strikes(self, now: float, period: float) -> Sequence[int | None]:
        """Ids that it strikes in this control period; None for all, or for the line."""
        if self.fault.kind in get_args(OfAnswers):
            return ()
        whom: Sequence[int | None] = self.ids or [None]
        if self.fault.probability is None:
            return whom if self._once(now) else ()
        chance = 1 - (1 - self.fault.probability) ** period
        return [id_ for id_ in whom if self.draw.random() < chance]

    def _once(self, now: float) -> bool:
        if self._done or self.fault.at_s is None or now < self.fault.at_s - 1e-9:
            return False
        self._done = True
        return True
